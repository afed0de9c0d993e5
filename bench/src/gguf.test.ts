import { expect, test } from 'vitest';
import { halfBits } from './gguf.ts';

test.each([
  [1, 0x3c00],
  [0.5, 0x3800],
  [1.5, 0x3e00],
  [0.000_976_562_5, 0x1400],
])('%d as float16', (value, bits) => {
  expect(halfBits(value)).toBe(bits);
});
