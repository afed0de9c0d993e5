/**
 * Rows of a product that one thread takes together, where several threads share it: ONNX Runtime's 4-bit kernels
 * (MLAS, `MlasQNBitGemmBatch`: StrideM).
 */
const TILE = 128;

/**
 * Whether a product over so many rows leaves one alone in its tile, the first or a later one. Kernels of quantised weights
 * compute a lone row in another way than several, so its bits would depend on how many came before it. So does MatMulNBits
 * at `accuracy_level` 0 and at 4 (ONNX Runtime 1.30 on x86-64: of 400 random rows none had the bits alone that it had in
 * company, and all had the same in company of 2 to 400).
 */
export function leavesLoneRow(rows: number): boolean {
  return rows % TILE === 1;
}

/** Rows of the cache for `slots` sequences: one more where the last of a full batch may need company. */
export function rowsWithCompany(slots: number): number {
  return leavesLoneRow(slots) ? slots + 1 : slots;
}
