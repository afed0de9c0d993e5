import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RequestEvent } from './events.ts';
import { GenerateRequest } from './generate-request.ts';
import { SamplingParams } from './sampling-params.ts';

/** Fixed, so that a run is the same everywhere; `numRuns` keeps it under a second or two. */
const FIXED = { seed: 20261122, numRuns: 1_500 };

const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
const often = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 2, nil: undefined });

/** A request that is nearly right: most fields are in range, some are not, so that a good part is accepted. */
const nearlyRequest = fc
  .record({
    v: fc.oneof({ weight: 20, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.jsonValue() }),
    prompt: fc.option(fc.string({ unit: 'binary' }), { freq: 5, nil: undefined }),
    messages: fc.oneof(
      { weight: 5, arbitrary: fc.constant(undefined) },
      {
        weight: 1,
        arbitrary: fc.array(fc.record({ role: fc.constantFrom('user', 'system', 'tool'), content: fc.string() }), {
          maxLength: 2,
        }),
      },
    ),
    promptTokenIds: fc.oneof(
      { weight: 5, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.array(fc.oneof(fc.nat(), fc.integer()), { maxLength: 3 }) },
    ),
    params: often(
      fc.record({
        temperature: fc.option(fc.double({ min: -0.2, max: 2.2, noNaN: true }), { nil: undefined }),
        topP: fc.option(fc.double({ min: -0.1, max: 1.1, noNaN: true }), { nil: undefined }),
        maxTokens: fc.option(fc.integer({ min: 0, max: 1_100_000 }), { nil: undefined }),
        stop: fc.option(fc.array(fc.string({ maxLength: 140 }), { maxLength: 5 }), { nil: undefined }),
        seed: fc.option(fc.maxSafeInteger(), { nil: undefined }),
      }),
    ),
    tenant: rarely(fc.string({ maxLength: 70 })),
    deadline: often(fc.integer({ min: -5 })),
    surprise: rarely(fc.jsonValue()),
  })
  // An absent field, not one that is there and undefined.
  .map((request) => JSON.parse(JSON.stringify(request)) as unknown);

describe('reading what comes from outside', () => {
  it('never throws, whatever JSON it is given', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        for (const schema of [GenerateRequest, SamplingParams, RequestEvent]) schema.safeParse(value);
      }),
      FIXED,
    );
  });

  it('accepts only requests with exactly one prompt, within their ranges and without unknown fields', () => {
    let accepted = 0;
    fc.assert(
      fc.property(nearlyRequest, (value) => {
        const { success, data } = GenerateRequest.safeParse(value);
        if (!success) return;
        accepted += 1;
        const prompts = [data.prompt, data.messages, data.promptTokenIds].filter((prompt) => prompt !== undefined);
        expect(prompts).toHaveLength(1);
        expect(data).not.toHaveProperty('surprise');
        expect(data.params.temperature).toBeGreaterThanOrEqual(0);
        expect(data.params.temperature).toBeLessThanOrEqual(2);
        expect(data.params.topP).toBeGreaterThan(0);
        expect(data.params.stop.length).toBeLessThanOrEqual(4);
        expect(data.tenant ?? 'none').toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      }),
      FIXED,
    );
    // Otherwise the property says nothing.
    expect(accepted).toBeGreaterThan(200);
  });

  it('reads what it wrote as the same request, through JSON, and a second reading changes nothing', () => {
    fc.assert(
      fc.property(nearlyRequest, (value) => {
        const first = GenerateRequest.safeParse(value);
        if (!first.success) return;
        expect(GenerateRequest.parse(JSON.parse(JSON.stringify(first.data)))).toEqual(
          JSON.parse(JSON.stringify(first.data)),
        );
      }),
      FIXED,
    );
  });
});
