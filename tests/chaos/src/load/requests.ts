import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../ledger/entry.ts';
import { judgeDeletion } from '../ledger/lateness.ts';
import type { Ask } from './ask.ts';
import { type Client, connect, messageOf } from './client.ts';
import { answerOf, failureOf, followJob, lookAt } from './follow-job.ts';
import { serverEvents } from './sse.ts';
import { Chunk, Job, Whole } from './wire.ts';

/**
 * Nothing comes of a whole answer before all of it is there, or its deadline passes (REQUEST_TIMEOUT_MS, of which this is
 * the default and a bit): to leave earlier would be to ask again for what is about to come.
 */
const WHOLE_WITHIN_MS = 330_000;

/** What a request says besides what it asks. */
export interface Manner {
  /** `no-store`: neither a kept answer nor a shared generation. Default true. */
  fresh?: boolean;
  priority?: number;
  timeoutMs?: number;
}

function serviceOf({ priority, timeoutMs }: Manner): Record<string, unknown> {
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
  };
}

function headersOf({ fresh = true }: Manner): Record<string, string> {
  return fresh ? { 'cache-control': 'no-store' } : {};
}

/** Asks for the whole answer at once. */
export async function askWhole(entry: Entry, ask: Ask, client: Client, manner: Manner = {}): Promise<void> {
  while (entry.open) {
    const body = { ...ask.body, ...serviceOf(manner) };
    const options = { method: 'POST', headers: headersOf(manner), body, silenceMs: WHOLE_WITHIN_MS } as const;
    const connection = await client.insist(entry, ask.endpoint, options);
    if (connection === undefined) return;
    try {
      const { choices } = Whole.parse(await connection.response.json());
      const id = connection.response.headers.get('x-shoal-job-id') ?? undefined;
      entry.accepted('2xx', id, connection.sentAt);
      entry.end({
        kind: 'completed',
        texts: choices.map((choice) => choice.message?.content ?? choice.text ?? ''),
        finishReasons: choices.map((choice) => choice.finish_reason),
      });
    } catch (error) {
      entry.note(`the answer broke off: ${messageOf(error)}`);
      client.move();
    } finally {
      connection.leave();
    }
  }
}

export interface StreamOptions extends Manner {
  /** Called after every piece of text; `leave` closes the connection for good. */
  onText?: (pieces: number, leave: () => void) => void | Promise<void>;
}

/**
 * Streams an answer. When the connection breaks, the request goes on: it is followed to its end as the job that it is,
 * at the other replica.
 */
export async function stream(entry: Entry, ask: Ask, client: Client, options: StreamOptions = {}): Promise<void> {
  const body = { ...ask.body, ...serviceOf(options), stream: true };
  const connection = await client.insist(entry, ask.endpoint, { method: 'POST', headers: headersOf(options), body });
  if (connection === undefined) return;
  const id = connection.response.headers.get('x-shoal-job-id') ?? undefined;
  entry.accepted(`stream from ${client.url}`, id, connection.sentAt);
  const finishReasons: string[] = [];
  let pieces = 0;
  let left = false;
  try {
    for await (const { data } of serverEvents(connection.response, connection.alive)) {
      if (data === '[DONE]') {
        entry.end({ kind: 'completed', texts: textsOf(entry, ask), finishReasons });
        return;
      }
      const chunk = Chunk.parse(JSON.parse(data));
      if ('error' in chunk) {
        if (chunk.error.code !== 'unavailable') {
          entry.end(failureOf(chunk.error));
          return;
        }
        entry.note('the stream broke off: unavailable');
        break;
      }
      for (const choice of chunk.choices) {
        const text = choice.delta?.content ?? choice.text ?? '';
        if (text !== '') entry.read(choice.index, text);
        if (typeof choice.finish_reason === 'string') finishReasons[choice.index] = choice.finish_reason;
        if (text === '') continue;
        pieces += 1;
        await options.onText?.(pieces, () => {
          left = true;
        });
      }
      if (left) break;
    }
  } catch (error) {
    entry.note(`the stream at ${client.url} broke: ${messageOf(error)}`);
  } finally {
    connection.leave();
  }
  if (left) return;
  client.move();
  entry.note('goes on as a job, elsewhere');
  entry.restart();
  await followJob(entry, client);
}

function textsOf({ texts }: Entry, { choices }: Ask): string[] {
  return Array.from({ length: choices }, (_, choice) => texts[choice] ?? '');
}

/** Leaves a stream after some pieces, and looks what becomes of the request. */
export async function leaveStream(
  entry: Entry,
  ask: Ask,
  client: Client,
  after: number,
  manner: Manner,
): Promise<void> {
  await stream(entry, ask, client, {
    ...manner,
    onText: (pieces, leave) => {
      if (pieces >= after) leave();
    },
  });
  if (!entry.open || entry.acceptedAt === undefined) return;
  entry.leftAt = Date.now();
  entry.note('closed the connection');
  await untilEnded(entry, client);
}

/** Submits a job; a submission whose answer was lost is repeated under its key, and must not become two jobs. */
export async function submitJob(entry: Entry, ask: Ask, client: Client, manner: Manner = {}): Promise<boolean> {
  const headers = { ...headersOf(manner), 'idempotency-key': randomUUID() };
  const body = { ...ask.body, ...serviceOf(manner), endpoint: ask.endpoint };
  entry.submitted = true;
  while (entry.open) {
    const connection = await client.insist(entry, '/v1/jobs', { method: 'POST', headers, body });
    if (connection === undefined) return false;
    try {
      const job = Job.parse(await connection.response.json());
      entry.accepted('202', job.id, connection.sentAt);
      if (client.random.chance(0.9)) return true;
      entry.note('submits it again');
      client.move();
    } catch (error) {
      entry.note(`the answer broke off: ${messageOf(error)}`);
      client.move();
    } finally {
      connection.leave();
    }
  }
  return false;
}

/** Submits a job and deletes it after some tokens. */
export async function cancelJob(entry: Entry, ask: Ask, client: Client, after: number, manner: Manner): Promise<void> {
  if (!(await submitJob(entry, ask, client, manner))) return;
  let asked = false;
  const onTokens = async (position: number): Promise<void> => {
    if (asked || position < after) return;
    asked = true;
    await deleteJob(entry, client);
  };
  await followJob(entry, client, { onTokens });
  judgeDeletion(entry);
}

async function deleteJob(entry: Entry, client: Client): Promise<void> {
  for (let attempt = 0; attempt < 100 && !entry.closed; attempt++) {
    try {
      const { response, sentAt, leave } = await connect(`${client.url}/v1/jobs/${entry.jobId}`, { method: 'DELETE' });
      const job = Job.parse(await response.json());
      leave();
      entry.note(`DELETE at ${client.url}: ${response.status} ${job.status}`);
      entry.deletion = { httpStatus: response.status, at: Date.now(), claims: job.attempts };
      entry.shown(job, sentAt);
      return;
    } catch (error) {
      entry.note(`DELETE at ${client.url}: ${messageOf(error)}`);
      await sleep(200);
    }
  }
}

async function untilEnded(entry: Entry, client: Client): Promise<void> {
  for (;;) {
    const job = await lookAt(entry, client);
    if (job === undefined) return;
    if (job.result !== undefined) {
      entry.restart();
      entry.reads.length = 0;
      entry.end({ kind: 'completed', ...answerOf(job.result) });
      return;
    }
    if (job.error !== undefined) {
      entry.end(failureOf(job.error));
      return;
    }
    await sleep(250);
  }
}
