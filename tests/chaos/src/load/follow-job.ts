import { setTimeout as sleep } from 'node:timers/promises';
import type { Entry } from '../ledger/entry.ts';
import type { Outcome } from '../ledger/outcome.ts';
import { type Client, messageOf } from './client.ts';
import { serverEvents } from './sse.ts';
import { Job, JobEvent, type JobResult } from './wire.ts';

export interface FollowOptions {
  /** Called after every piece of the answer. */
  onTokens?: (position: number) => void | Promise<void>;
  /** The reader leaves after so many pieces, and comes back at the other replica. */
  leaveAfter?: number;
}

/** What a reader was told of the token log. */
interface ReadLog {
  position: number;
  /** Token ids by choice. */
  ids: number[][];
}

/** So often in a row a job must be unknown, whichever replica is asked, before it is believed. */
const UNKNOWN_TIMES = 5;

/**
 * Reads the events of a job to its end, over as many connections as it takes, each beginning behind the last position
 * that was read. No position may come twice, or be left out.
 */
export async function followJob(entry: Entry, client: Client, options: FollowOptions = {}): Promise<void> {
  const log: ReadLog = { position: 0, ids: [] };
  let pieces = 0;
  while (entry.open) {
    const headers: Record<string, string> = log.position === 0 ? {} : { 'last-event-id': String(log.position) };
    const connection = await client.insist(entry, `/v1/jobs/${entry.jobId}/events`, { headers });
    if (connection === undefined) return;
    try {
      for await (const { id, data } of serverEvents(connection.response, connection.alive)) {
        if (!entry.open) return;
        const event = JobEvent.parse(JSON.parse(data));
        if (event.type === undefined) {
          entry.note(`the stream of events broke off: ${event.error.code}`);
          break;
        }
        if (event.type !== 'tokens') {
          end(entry, event, log);
          await confirm(entry, client);
          return;
        }
        if (event.position !== log.position) {
          entry.violate(`position ${event.position} came where ${log.position} was due (at ${client.url})`);
        }
        const choice = event.choice ?? 0;
        log.position = event.position + event.token_ids.length;
        log.ids[choice] ??= [];
        log.ids[choice].push(...event.token_ids);
        if (id !== String(log.position)) entry.violate(`event id ${id} where the position is ${log.position}`);
        entry.read(choice, event.text, log.position);
        await options.onTokens?.(log.position);
        pieces += 1;
        if (pieces === options.leaveAfter) {
          entry.note(`leaves at position ${log.position}, to come back elsewhere`);
          break;
        }
      }
    } catch (error) {
      entry.note(`reading at ${client.url} broke off at position ${log.position}: ${messageOf(error)}`);
    } finally {
      connection.leave();
    }
    if (entry.open) entry.note(`goes on elsewhere, from position ${log.position}`);
    client.move();
    await sleep(50);
  }
}

function end(entry: Entry, event: Extract<JobEvent, { type: 'completed' | 'failed' }>, log: ReadLog): void {
  if (event.type === 'failed') {
    entry.end(failureOf(event.error));
    return;
  }
  // The log may be forgotten a moment before the result, and then nobody can be told what it held.
  if (!entry.mayHaveExpired) compare(entry, event.result, log);
  entry.end({ kind: 'completed', ...answerOf(event.result) });
}

/** Whoever is told the result has been told each of its tokens before. */
function compare(entry: Entry, result: JobResult, { position, ids }: ReadLog): void {
  const choices = result.choices ?? [result];
  const length = choices.reduce((sum, choice) => sum + choice.token_ids.length, 0);
  if (position !== length) entry.violate(`completed with ${length} tokens after position ${position}`);
  for (const [choice, { token_ids }] of choices.entries()) {
    if (token_ids.join() !== (ids[choice] ?? []).join()) {
      entry.violate(`choice ${choice}: the token ids as read are not those of its result`);
    }
  }
}

/** Another replica must tell the same end. */
async function confirm(entry: Entry, client: Client): Promise<void> {
  const { outcome, endedAt } = entry;
  if (outcome === undefined || endedAt === undefined) return;
  entry.awaiting = 'whether another replica tells the same end';
  for (;;) {
    client.move();
    const job = await lookAt(entry, client);
    if (entry.closed) return;
    if (job === undefined) break;
    const shown = shownBy(job);
    if (shown === undefined && entry.endMayBeLost(endedAt)) {
      // A crash has taken the end with Redis's last writes: the request runs once more.
      await sleep(250);
      continue;
    }
    if (shown === undefined || !agree(entry, outcome, shown)) {
      entry.violate(`another replica tells another end: ${job.status} ${job.error?.code ?? ''}`);
    }
    break;
  }
  entry.awaiting = undefined;
}

/** The same end; or, where a crash of Redis took the first one, another that is right. */
function agree(entry: Entry, told: Outcome, shown: Outcome): boolean {
  if (told.kind === 'completed' && shown.kind === 'completed') {
    return told.texts.join('\0') === shown.texts.join('\0');
  }
  if (told.kind === 'failed' && shown.kind === 'failed' && told.code === shown.code) return true;
  return entry.endMayBeLost(entry.endedAt ?? 0) && entry.allows(shown);
}

function shownBy(job: Job): Outcome | undefined {
  if (job.result !== undefined) return { kind: 'completed', ...answerOf(job.result) };
  return job.error === undefined ? undefined : failureOf(job.error);
}

/**
 * The job as it is shown now. Asks until it is shown, `limitMs` at most; undefined when nobody could be asked, or when it
 * is unknown, which is judged here.
 */
export async function lookAt(
  entry: Entry,
  client: Client,
  { limitMs = Number.POSITIVE_INFINITY }: { limitMs?: number } = {},
): Promise<Job | undefined> {
  const until = Date.now() + limitMs;
  for (let unknown = 0; !entry.closed && Date.now() < until; ) {
    const sentAt = Date.now();
    try {
      const response = await fetch(`${client.url}/v1/jobs/${entry.jobId}`, { signal: AbortSignal.timeout(10_000) });
      const body: unknown = await response.json();
      if (response.ok) {
        const job = Job.parse(body);
        entry.shown(job, sentAt);
        return job;
      }
      unknown = response.status === 404 ? unknown + 1 : 0;
      entry.refused(response.status);
    } catch {
      // The replica is away: the other one may be there.
    }
    if (unknown === UNKNOWN_TIMES) {
      entry.vanished();
      return undefined;
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
