/** Weights in 8 bits: w ≈ values · scale. */
export interface Int8Weights {
  readonly values: Int8Array;
  readonly scale: number;
}

/** Symmetric 8-bit quantisation of a whole tensor: scale = max|w| / 127. */
export function quantizeInt8(weights: Float32Array): Int8Weights {
  const largest = weights.reduce((most, weight) => Math.max(most, Math.abs(weight)), 0);
  const scale = Math.fround(largest / 127) || 1;
  return { values: Int8Array.from(weights, (weight) => Math.round(weight / scale)), scale };
}
