/** Weights of one row-major [K, N] matrix as `com.microsoft.MatMulNBits` takes them. */
export interface Q4Weights {
  /** uint8 [N, K / blockSize, blockSize / 2]: two weights a byte, the earlier one in the low half. */
  readonly packed: Uint8Array;
  /** float32 [N × K / blockSize]. */
  readonly scales: Float32Array;
}

/**
 * Symmetric 4-bit quantisation in blocks along K: w ≈ (q − 8) · scale with q in 0…15 and scale = max|w| / 7.
 * `k` must be a multiple of `blockSize`.
 */
export function quantizeQ4(weights: Float32Array, k: number, n: number, blockSize: number): Q4Weights {
  if (k % blockSize !== 0) throw new Error(`q4: the inner size ${k} is not a multiple of the block size ${blockSize}`);
  const blocks = k / blockSize;
  const packed = new Uint8Array((n * k) / 2);
  const scales = new Float32Array(n * blocks);
  for (let column = 0; column < n; column++) {
    for (let block = 0; block < blocks; block++) {
      const start = block * blockSize;
      let largest = 0;
      for (let i = start; i < start + blockSize; i++) {
        largest = Math.max(largest, Math.abs(weights[i * n + column] ?? 0));
      }
      const scale = largest / 7;
      scales[column * blocks + block] = scale;
      for (let i = start; i < start + blockSize; i++) {
        const quantized = scale === 0 ? 8 : Math.round((weights[i * n + column] ?? 0) / scale) + 8;
        const byte = (column * k + i) >> 1;
        packed[byte] = (packed[byte] ?? 0) | (quantized << (i % 2 === 0 ? 0 : 4));
      }
    }
  }
  return { packed, scales };
}

/** The [K, N] matrix that {@link quantizeQ4} stands for. */
export function dequantizeQ4(q4: Q4Weights, k: number, n: number, blockSize: number): Float32Array {
  const weights = new Float32Array(k * n);
  for (let column = 0; column < n; column++) {
    for (let i = 0; i < k; i++) {
      const byte = q4.packed[(column * k + i) >> 1] ?? 0;
      const quantized = i % 2 === 0 ? byte & 0xf : byte >> 4;
      const scale = q4.scales[column * (k / blockSize) + Math.floor(i / blockSize)] ?? 0;
      weights[i * n + column] = (quantized - 8) * scale;
    }
  }
  return weights;
}
