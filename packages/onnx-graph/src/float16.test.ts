import { expect, test } from 'vitest';
import { toFloat16 } from './float16.ts';

test.each([
  ['zero', 0, 0x0000],
  ['minus zero', -0, 0x8000],
  ['one', 1, 0x3c00],
  ['minus two', -2, 0xc000],
  ['a third', 1 / 3, 0x3555],
  ['the largest', 65_504, 0x7bff],
  ['what rounds beyond it', 65_520, 0x7c00],
  ['what is far beyond it', 1e30, 0x7c00],
  ['the smallest normal', 2 ** -14, 0x0400],
  ['a subnormal', 3 * 2 ** -24, 0x0003],
  ['a subnormal that rounds into the normal ones', (1023.75 / 1024) * 2 ** -14, 0x0400],
  ['the smallest subnormal', 2 ** -24, 0x0001],
  ['half of it, a tie to even', 2 ** -25, 0x0000],
  ['more than half of it', 1.5 * 2 ** -25, 0x0001],
  ['less than half of it', 2 ** -26, 0x0000],
  ['a tie to even, down', 1 + 2 ** -11, 0x3c00],
  ['a tie to even, up', 1 + 3 * 2 ** -11, 0x3c02],
  ['a fraction that carries into the exponent', 1.9999, 0x4000],
  ['infinity', Number.NEGATIVE_INFINITY, 0xfc00],
  ['not a number', Number.NaN, 0x7e00],
])('%s', (_, value, bits) => {
  expect(toFloat16(Float32Array.of(value))[0]).toBe(bits);
});
