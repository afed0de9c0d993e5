import { RequestEvent } from '@shoal/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPlainEnd, isPlainTokens } from './plain-event.ts';
import { sampleResult, sampleTokens } from './testing/requests.ts';

const FIXED = { seed: 20261122, numRuns: 3_000 };
const run = { numerics: 'abc', exact: true };

const PLAIN: readonly RequestEvent[] = [
  sampleTokens(0),
  { ...sampleTokens(3), choice: 2, run },
  { ...sampleTokens(0), promptText: 'a' },
  { type: 'completed', result: sampleResult(3) },
  { type: 'completed', result: sampleResult(0, { numerics: 'abc', finishReason: 'length' }) },
];

/** What may stand where something else was expected. */
const surprise = fc.oneof(
  fc.constantFrom<unknown>(null, -1, 0.5, '', 'x'.repeat(65), 2 ** 53, {}, [], [-1], ['0'], [0.5], true),
  fc.jsonValue(),
);

/** A plain event in which one field, at any depth, is another or is missing. */
const spoiled = fc
  .tuple(fc.constantFrom(...PLAIN), fc.infiniteStream(fc.nat()), fc.option(surprise, { freq: 5 }))
  .map(([event, choices, value]) => {
    const copy: unknown = structuredClone(event);
    let at = copy as Record<string, unknown>;
    for (const choice of choices) {
      const names = Object.keys(at);
      const name = names[choice % names.length];
      if (name === undefined) break;
      const inner = at[name];
      if (typeof inner === 'object' && inner !== null && Object.keys(inner).length > 0 && choice % 3 > 0) {
        at = inner as Record<string, unknown>;
        continue;
      }
      if (value === null) delete at[name];
      else at[name] = value;
      break;
    }
    return JSON.parse(JSON.stringify(copy)) as unknown;
  });

describe('plain events', () => {
  it('are told by hand', () => {
    for (const event of PLAIN) expect(isPlainTokens(event) || isPlainEnd(event)).toBe(true);
  });

  it('are what the schemas accept, word for word', () => {
    fc.assert(
      fc.property(spoiled, (json) => {
        if (isPlainTokens(json) || isPlainEnd(json)) expect(RequestEvent.parse(json)).toEqual(json);
      }),
      FIXED,
    );
  });

  it('are not those with more in them: the schemas look at it', () => {
    const more = { tokenId: 0, text: 'a', logprob: -1, top: [] };
    expect(isPlainTokens({ ...sampleTokens(0), logprobs: [more] })).toBe(false);
    for (const field of ['logprobs', 'choices', 'resumes']) {
      expect(isPlainEnd({ type: 'completed', result: { ...sampleResult(1), [field]: [] } })).toBe(false);
    }
  });
});
