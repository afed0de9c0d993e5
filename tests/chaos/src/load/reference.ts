import type { Terms } from '../ledger/entry.ts';
import type { Ask } from './ask.ts';
import { connect } from './client.ts';
import { Whole } from './wire.ts';

export type Answer = NonNullable<Terms['expected']>;

const AT_ONCE = 16;

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
  const { response, leave } = await connect(url + ask.endpoint, { method: 'POST', headers, body: ask.body });
  const { choices } = Whole.parse(await response.json());
  leave();
  return {
    texts: choices.map((choice) => choice.message?.content ?? choice.text ?? ''),
    finishReasons: choices.map((choice) => choice.finish_reason),
  };
}
