/** Weights in 8 bits: w ≈ values · scale. */
export interface Int8Weights {
  readonly values: Int8Array;
  readonly scale: number;
}

/**
 * Largest value. Processors with AVX2 and without VNNI add two products of an unsigned activation and a weight in 16 bits,
 * saturating: 2 · 255 · 64 fits, 2 · 255 · 127 does not. onnxruntime's `reduce_range` is for the same.
 */
const LARGEST = 64;

/** Symmetric quantisation of a whole tensor in the reduced range: scale = max|w| / 64. */
export function quantizeInt8(weights: Float32Array): Int8Weights {
  const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
  const scale = Math.fround(largest / LARGEST) || 1;
  return { values: Int8Array.from(weights, (weight) => Math.round(weight / scale)), scale };
}
