import { expect, it } from 'vitest';
import { attentionTokens, chooseAttention } from './attention-scratch.ts';

const chunked = (maxModelLen: number) => ({ maxModelLen, batching: 'continuous' as const });

it('takes the plain kernel while a useful pass fits its scratch, and bounds the pass by it', () => {
  expect(chooseAttention(9, chunked(2048))).toBe('plain');
  expect(attentionTokens('plain', 9, 2048)).toBe(3640);
  expect(chooseAttention(32, chunked(8192))).toBe('plain');
  expect(attentionTokens('plain', 32, 8192)).toBe(256);
});

it('takes the tiled kernel for long contexts, whose passes need no bound', () => {
  expect(chooseAttention(32, chunked(131_072))).toBe('tiled');
  expect(attentionTokens('tiled', 32, 131_072)).toBe(Number.POSITIVE_INFINITY);
  expect(chooseAttention(undefined, chunked(16_384))).toBe('tiled');
});

it('takes the tiled kernel where the longest prompt, which static batching does not cut, goes beyond the scratch', () => {
  const whole = (maxModelLen: number) => ({ maxModelLen, batching: 'static' as const });
  expect(chooseAttention(32, whole(8192))).toBe('tiled');
  expect(chooseAttention(9, whole(2048))).toBe('plain');
  expect(chooseAttention(9, whole(4096))).toBe('tiled');
});
