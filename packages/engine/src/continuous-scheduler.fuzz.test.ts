import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ContinuousScheduler } from './continuous-scheduler.ts';
import type { EngineEvent, FinishedEvent } from './generation-engine.ts';
import { checkInvariants } from './invariants.ts';
import { BYTE_EOS } from './testing/byte-tokenizer.ts';
import { GREEDY, scriptedEngine } from './testing/scripted-engine.ts';

const CONTEXT = 160;

/** What happens from outside, in order. */
type Happening =
  | { type: 'arrive'; own: number[]; shared: number; maxTokens: number; n: number; tenant: string | undefined }
  | { type: 'abort'; which: number }
  | { type: 'tune'; maxBatchSize: number; maxBatchTokens: number }
  /** The next run over several rows fails, as for want of memory. */
  | { type: 'fail' }
  /** The next copy of a row fails. */
  | { type: 'lose' }
  | { type: 'turns'; count: number };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('arrive' as const),
      own: fc.array(fc.nat({ max: 255 }), { minLength: 1, maxLength: 40 }),
      // Prompts that begin alike, long enough to be reused from 64 tokens on.
      shared: fc.constantFrom(0, 0, 70, 90),
      maxTokens: fc.integer({ min: 1, max: 25 }),
      n: fc.constantFrom(1, 1, 1, 3),
      tenant: fc.constantFrom(undefined, 'acme', 'other'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('abort' as const), which: fc.nat({ max: 20 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('tune' as const),
      maxBatchSize: fc.integer({ min: 1, max: 6 }),
      maxBatchTokens: fc.integer({ min: 2, max: 200 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('fail' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lose' as const) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 12 }) }) },
);

const limits = fc.record({
  maxBatchSize: fc.integer({ min: 1, max: 6 }),
  maxBatchTokens: fc.integer({ min: 2, max: 200 }),
  // From the smallest there can be, in which nearly everybody is preempted.
  budgetTokens: fc.integer({ min: CONTEXT, max: 3 * CONTEXT }),
  prefixSlots: fc.integer({ min: 0, max: 3 }),
  mixes: fc.boolean(),
});

/** What runs take, in milliseconds, from which sizes of passes are learnt: a step, and a prompt's token in each way. */
const costs = fc.record({
  stepMs: fc.constantFrom(0, 1, 10),
  ridingMs: fc.constantFrom(0, 0.2, 2),
  apartMs: fc.constantFrom(0, 0.2, 2),
});

/** A token that depends on every token before it; ends an answer about once in 60. */
function scrambled(history: readonly number[]): number {
  let hash = 17;
  for (const [i, token] of history.entries()) hash = Math.imul(hash ^ (token * (i + 3)), 0x9e3779b1) >>> 0;
  return (hash >>> 8) % 60 === 0 ? BYTE_EOS : hash >>> 24;
}

/** What the answer must be, whoever rides along. */
function alone(prompt: readonly number[], maxTokens: number): number[] {
  const answer: number[] = [];
  while (answer.length < maxTokens && answer.at(-1) !== BYTE_EOS) answer.push(scrambled([...prompt, ...answer]));
  return answer;
}

type Choice = Pick<FinishedEvent, 'tokenIds' | 'finishReason'>;

async function readChoices(events: AsyncIterable<EngineEvent>): Promise<readonly Choice[]> {
  for await (const event of events) if (event.type === 'finished') return event.choices ?? [event];
  throw new Error('the events ended without a finished one');
}

it('answers each as if it were alone, within the budget, whoever arrives, leaves, fails or is preempted', async () => {
  await fc.assert(
    fc.asyncProperty(
      limits,
      costs,
      fc.array(happening, { maxLength: 25, size: 'max' }),
      async (given, cost, happenings) => {
        const { engine, scheduler, runner, clock } = scriptedEngine({
          batching: 'continuous',
          maxModelLen: CONTEXT,
          next: scrambled,
          ...given,
        });
        if (!(scheduler instanceof ContinuousScheduler)) throw new Error('not continuous');
        /** What did not hold: thrown here, it would count as a failure of the model's run. */
        const broken: string[] = [];
        let failing = 0;
        runner.beforeRun = (phase, together) => {
          const snapshot = scheduler.inspect();
          try {
            checkInvariants(snapshot);
          } catch (error) {
            broken.push(String(error));
          }
          const { rows, usedTokens, budgetTokens } = snapshot;
          // Between two decode steps rows may grow beyond it; the step itself runs within the budget.
          if ((phase === 'decode' || phase === 'mixed') && usedTokens > budgetTokens) {
            broken.push(`${usedTokens} of ${budgetTokens} tokens used by ${rows.length} rows`);
          }
          // One that fails alone is given up; of several, none.
          if (failing === 0 || together < 2) return;
          failing -= 1;
          throw new Error('out of memory');
        };
        runner.duration = (phase, tokens) => {
          const perToken = phase === 'mixed' ? cost.ridingMs : phase === 'decode' ? 0 : cost.apartMs;
          clock.advance(cost.stepMs + perToken * tokens);
        };
        let losing = false;
        runner.beforeCopy = () => {
          const failed = losing;
          losing = false;
          if (failed) throw new Error('out of memory');
        };
        const requests: { abort: AbortController; expected: number[]; answer: Promise<readonly Choice[]> }[] = [];
        for (const what of happenings) {
          if (what.type === 'arrive') {
            const promptTokenIds = [...Array.from({ length: what.shared }, (_, i) => i), ...what.own];
            const abort = new AbortController();
            const id = `r${requests.length}`;
            const { maxTokens, tenant, n } = what;
            const request = { id, promptTokenIds, tenant, params: { ...GREEDY, maxTokens, n } };
            const answer = readChoices(engine.generate(request, abort.signal));
            requests.push({ abort, expected: alone(promptTokenIds, maxTokens), answer });
          } else if (what.type === 'abort') requests[what.which]?.abort.abort();
          else if (what.type === 'tune') engine.tune(what);
          else if (what.type === 'fail') failing = 1;
          else if (what.type === 'lose') losing = true;
          else for (let turn = 0; turn < what.count; turn += 1) await clock.turn();
        }
        for (const { expected, answer } of requests) {
          for (const { tokenIds, finishReason } of await answer) {
            expect(tokenIds).toEqual(finishReason === 'abort' ? expected.slice(0, tokenIds.length) : expected);
          }
        }
        expect(broken).toEqual([]);
        expect(engine.stats()).toMatchObject({ waiting: 0, running: 0 });
        await engine.close();
      },
    ),
    { seed: 20261122, numRuns: 300, interruptAfterTimeLimit: 60_000 },
  );
}, 90_000);
