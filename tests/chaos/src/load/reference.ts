import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Ledger } from '../ledger/ledger.ts';
import type { Terms } from '../ledger/outcome.ts';
import { type Ask, describeAsk } from './ask.ts';
import { connect, isPassing, messageOf, Refusal } from './client.ts';
import { Whole } from './wire.ts';

export type Answer = NonNullable<Terms['expected']>;

const AT_ONCE = 16;
/** A machine that is busy with other things may keep an API waiting for its Redis, though nothing was broken yet. */
const PATIENCE_MS = 120_000;
const RETRY_DELAY_MS = 500;

/**
 * The answers of a cluster that nobody disturbs, computed afresh. Rejects when one does not come within `limitMs`, though
 * it was asked for again and again.
 */
export async function undisturbedAnswers(
  url: string,
  asks: readonly Ask[],
  { limitMs = PATIENCE_MS }: { limitMs?: number } = {},
): Promise<Answer[]> {
  const answers: Answer[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let ask = asks[next++]; ask !== undefined; ask = asks[next++])
      answers[asks.indexOf(ask)] = await insist(url, ask, Date.now() + limitMs);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return answers;
}

/** Whether an API answers everything as before; a door that stays shut is found here, too. */
export async function findChangedAnswers(
  ledger: Ledger,
  { name, url }: { name: string; url: string },
  { asks, answers, limitMs }: { asks: readonly Ask[]; answers: readonly Answer[]; limitMs: number },
): Promise<void> {
  try {
    const now = await undisturbedAnswers(url, asks, { limitMs });
    const [changed, ...others] = asks.filter(({ index }) => !isDeepStrictEqual(now[index], answers[index]));
    if (changed === undefined) return;
    ledger.find(`${name} answers otherwise than before all this: ${describeAsk(changed)}, and ${others.length} more`);
  } catch (error) {
    ledger.find(`${name} does not answer, with everything healed: ${messageOf(error)}`);
  }
}

async function insist(url: string, ask: Ask, until: number): Promise<Answer> {
  for (;;) {
    try {
      return await answer(url, ask, until - Date.now());
    } catch (error) {
      const isFinal = error instanceof Refusal && !isPassing(error);
      if (isFinal || Date.now() + RETRY_DELAY_MS > until) throw error;
    }
    await sleep(RETRY_DELAY_MS);
  }
}

async function answer(url: string, ask: Ask, silenceMs: number): Promise<Answer> {
  const headers = { 'cache-control': 'no-store' };
  const { response, leave } = await connect(url + ask.endpoint, { method: 'POST', headers, body: ask.body, silenceMs });
  const { choices } = Whole.parse(await response.json());
  leave();
  return {
    texts: choices.map((choice) => choice.message?.content ?? choice.text ?? ''),
    finishReasons: choices.map((choice) => choice.finish_reason),
  };
}
