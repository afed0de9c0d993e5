import type { SamplingParams } from '@shoal/protocol';
import { type ContinuousLimits, ContinuousScheduler } from '../continuous-scheduler.ts';
import { Engine } from '../engine.ts';
import type { BatchingPolicy } from '../engine-options.ts';
import type { EngineFact } from '../events.ts';
import type { EngineEvent, EngineModel, EngineRequest, FinishedEvent } from '../generation-engine.ts';
import type { Scheduler } from '../scheduler.ts';
import { StaticScheduler } from '../static-scheduler.ts';
import { BYTE_EOS, BYTE_VOCABULARY, byteTokenizer } from './byte-tokenizer.ts';
import { FakeClock } from './fake-clock.ts';
import { ScriptedRunner } from './scripted-runner.ts';

export const GREEDY: SamplingParams = { temperature: 0, topP: 1, topK: 0, stop: [] };

/** An engine over scripted logits and a clock that stands still, with all its facts. */
export interface ScriptedEngine {
  engine: Engine;
  scheduler: Scheduler;
  runner: ScriptedRunner;
  clock: FakeClock;
  facts: EngineFact[];
}

/** Echo: repeats the prompt byte by byte, then ends. A prompt's own length is written in its first byte. */
export function echo(history: readonly number[]): number {
  const promptLength = history[0] ?? 0;
  const said = history.length - promptLength;
  return history[1 + said] !== undefined && 1 + said < promptLength ? (history[1 + said] ?? BYTE_EOS) : BYTE_EOS;
}

/** The token ids of a prompt that {@link echo} will repeat. */
export function echoPrompt(text: string): number[] {
  const bytes = [...new TextEncoder().encode(text)];
  return [bytes.length + 1, ...bytes];
}

export interface ScriptedOptions extends Partial<ContinuousLimits> {
  batching?: BatchingPolicy;
  maxModelLen?: number;
  mostBatchTokens?: number;
  next?: (history: readonly number[]) => number;
}

/** Static batching unless it is said otherwise. */
export function scriptedEngine(options: ScriptedOptions = {}): ScriptedEngine {
  const { batching = 'static', maxModelLen = 256, mostBatchTokens, next = echo } = options;
  const limits: ContinuousLimits = {
    maxBatchSize: options.maxBatchSize ?? 16,
    maxQueueDelayMs: options.maxQueueDelayMs ?? (batching === 'static' ? 50 : 0),
    maxBatchTokens: options.maxBatchTokens ?? 100_000,
    budgetTokens: options.budgetTokens ?? 1_000_000,
    prefixSlots: options.prefixSlots,
    mixes: options.mixes,
  };
  const model: EngineModel = {
    maxModelLen,
    vocabSize: BYTE_VOCABULARY,
    chat: false,
    revision: '000000000000',
    dtype: 'fp32',
    executionProvider: 'scripted',
    fingerprint: '000000000000',
    invariance: { batch: true, padding: true, chunk: true, replay: true },
  };
  const slots = limits.maxBatchSize + (limits.prefixSlots ?? 0);
  const runner = new ScriptedRunner({
    slots,
    maxLength: maxModelLen,
    vocabSize: BYTE_VOCABULARY,
    next,
    mixes: options.mixes,
  });
  const clock = new FakeClock();
  const scheduler = batching === 'static' ? new StaticScheduler(limits) : new ContinuousScheduler(limits);
  const engine = new Engine(
    { model, tokenizer: byteTokenizer(), eosTokenIds: [BYTE_EOS], batching, mostBatchTokens, scheduler, runner },
    { clock, drawSeed: () => 7 },
  );
  const facts: EngineFact[] = [];
  engine.observe((fact) => facts.push(fact));
  return { engine, scheduler, runner, clock, facts };
}

/**
 * Reads one answer to its end and checks that its events are in order and add up to its result.
 *
 * @param before what a resumed answer had been told already
 */
export async function readAnswer(
  events: AsyncIterable<EngineEvent>,
  before: { tokenIds: readonly number[]; text: string } = { tokenIds: [], text: '' },
): Promise<FinishedEvent> {
  const tokenIds = [...before.tokenIds];
  let { text } = before;
  for await (const event of events) {
    if (event.type === 'finished') {
      if (event.text !== text) throw new Error('the texts of the events are not the text of the result');
      if (event.tokenIds.join() !== tokenIds.join()) throw new Error('the tokens of the events are not the result');
      return event;
    }
    if (event.position !== tokenIds.length) throw new Error(`tokens at ${event.position}, not ${tokenIds.length}`);
    tokenIds.push(...event.tokenIds);
    text += event.text;
  }
  throw new Error('the events ended without a finished one');
}

export function echoRequest(id: string, text: string, params: Partial<SamplingParams> = {}): EngineRequest {
  return { id, promptTokenIds: echoPrompt(text), params: { ...GREEDY, ...params } };
}
