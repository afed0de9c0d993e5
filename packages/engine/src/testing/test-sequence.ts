import type { SamplingParams } from '@shoal/protocol';
import { Answer } from '../answer.ts';
import { Sequence } from '../sequence.ts';
import type { Decode } from '../tokenizer/detokenizer.ts';
import { TextAssembler } from '../tokenizer/text-assembler.ts';

/** A sequence of its own, for tests of what looks at one. Nobody hears its events. */
export function testSequence(
  params: Partial<SamplingParams> = {},
  promptTokenIds: readonly number[] = [1],
  choice = 0,
  decode: Decode = () => '',
): Sequence {
  const answer = new Answer('test', { tokens: () => {}, finish: () => {}, fail: () => {} });
  return new Sequence({
    answer,
    choice,
    promptTokenIds,
    params: { temperature: 1, topP: 1, topK: 0, stop: [], ...params },
    seed: params.seed ?? 42,
    maxNewTokens: 1_000_000,
    endTokenIds: new Set(params.stopTokenIds ?? []),
    arrivedAt: 0,
    ordinal: 0,
    text: new TextAssembler(decode, []),
  });
}
