import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry, Outcome } from '../ledger/entry.ts';
import { type Client, messageOf } from './client.ts';
import { serverEvents } from './sse.ts';
import { Job, JobEvent, type JobResult } from './wire.ts';

export interface FollowOptions {
  /** Called after every piece of the answer. */
  onTokens?: (position: number) => void | Promise<void>;
  /** The reader leaves after so many pieces, and comes back at the other replica. */
  leaveAfter?: number;
}

/**
 * Reads the events of a job to its end, over as many connections as it takes, each beginning behind the last position
 * that was read. No position may come twice, or be left out.
 */
export async function followJob(entry: Entry, client: Client, options: FollowOptions = {}): Promise<void> {
  let position = 0;
  let pieces = 0;
  while (entry.open) {
    const headers: Record<string, string> = position === 0 ? {} : { 'last-event-id': String(position) };
    const connection = await client.insist(entry, `/v1/jobs/${entry.jobId}/events`, { headers });
    if (connection === undefined) return;
    try {
      for await (const { id, data } of serverEvents(connection.response, connection.alive)) {
        const event = JobEvent.parse(JSON.parse(data));
        if (event.type === undefined) {
          entry.note(`the stream of events broke off: ${event.error.code}`);
          break;
        }
        if (event.type !== 'tokens') {
          end(entry, event);
          await confirm(entry, client);
          return;
        }
        if (event.position !== position) {
          entry.violate(`position ${event.position} came where ${position} was due (at ${client.url})`);
        }
        position = event.position + event.token_ids.length;
        if (id !== String(position)) entry.violate(`event id ${id} where the position is ${position}`);
        entry.read(event.choice ?? 0, event.text, position);
        await options.onTokens?.(position);
        pieces += 1;
        if (pieces === options.leaveAfter) {
          entry.note(`leaves at position ${position}, to come back elsewhere`);
          break;
        }
      }
    } catch (error) {
      entry.note(`reading at ${client.url} broke off at position ${position}: ${messageOf(error)}`);
    } finally {
      connection.leave();
    }
    if (entry.open) entry.note(`goes on elsewhere, from position ${position}`);
    client.move();
    await sleep(50);
  }
}

function end(entry: Entry, event: Extract<JobEvent, { type: 'completed' | 'failed' }>): void {
  if (event.type === 'failed') entry.end(failureOf(event.error));
  else entry.end({ kind: 'completed', ...answerOf(event.result) });
}

/** Another replica must tell the same end. */
async function confirm(entry: Entry, client: Client): Promise<void> {
  client.move();
  const job = await lookAt(entry, client);
  if (job === undefined || entry.outcome === undefined) return;
  const { outcome } = entry;
  if (outcome.kind === 'completed') {
    const texts = job.result === undefined ? [] : answerOf(job.result).texts;
    if (job.status === 'completed' && texts.join('\0') === outcome.texts.join('\0')) return;
  } else if (job.error?.code === outcome.code) {
    return;
  }
  entry.violate(`another replica tells another end: ${job.status} ${job.error?.code ?? ''}`);
}

/** The job as it is shown now; undefined when nobody could be asked. */
export async function lookAt(entry: Entry, client: Client): Promise<Job | undefined> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      const response = await fetch(`${client.url}/v1/jobs/${entry.jobId}`, { signal: AbortSignal.timeout(10_000) });
      const body: unknown = await response.json();
      if (response.ok) return Job.parse(body);
    } catch {
      // The replica is away: the other one may be there.
    }
    client.move();
    await sleep(200);
  }
  entry.note('nobody could be asked for the job');
  return undefined;
}

export function answerOf(result: JobResult): { texts: string[]; finishReasons: string[] } {
  const choices = result.choices ?? [result];
  return { texts: choices.map(({ text }) => text), finishReasons: choices.map((choice) => choice.finish_reason) };
}

/** An error of the wire as an end. */
export function failureOf({
  code,
  message,
}: {
  code: string | null;
  message: string;
}): Extract<Outcome, { kind: 'failed' }> {
  return { kind: 'failed', code: code ?? 'none', message };
}
