import { setTimeout as sleep } from 'node:timers/promises';
import type { Terms } from '../ledger/outcome.ts';
import type { Ask } from './ask.ts';
import { type Connection, type ConnectionOptions, connect, isPassing, Refusal } from './client.ts';
import { Whole } from './wire.ts';

export type Answer = NonNullable<Terms['expected']>;

const AT_ONCE = 16;
/** A machine that is busy with other things may keep an API waiting for its Redis, though nothing was broken yet. */
const TRIES = 20;
const RETRY_DELAY_MS = 500;

/** The answers of a cluster that nobody disturbs, computed afresh. */
export async function undisturbedAnswers(url: string, asks: readonly Ask[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let ask = asks[next++]; ask !== undefined; ask = asks[next++])
      answers[asks.indexOf(ask)] = await answer(url, ask);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return answers;
}

async function answer(url: string, ask: Ask): Promise<Answer> {
  const headers = { 'cache-control': 'no-store' };
  const { response, leave } = await insist(url + ask.endpoint, { method: 'POST', headers, body: ask.body });
  const { choices } = Whole.parse(await response.json());
  leave();
  return {
    texts: choices.map((choice) => choice.message?.content ?? choice.text ?? ''),
    finishReasons: choices.map((choice) => choice.finish_reason),
  };
}

async function insist(url: string, options: ConnectionOptions): Promise<Connection> {
  for (let left = TRIES - 1; ; left -= 1) {
    try {
      return await connect(url, options);
    } catch (error) {
      if (left === 0 || !(error instanceof Refusal && isPassing(error))) throw error;
    }
    await sleep(RETRY_DELAY_MS);
  }
}
