/** Gives the values of a weight tensor, row-major. Called once per name, in the order of the graph. */
export type WeightSource = (name: string, shape: readonly number[], deviation: number) => Float32Array;

/**
 * Pseudo-random weights: uniform with mean 0 and the asked standard deviation. The same seed and name give the same
 * values whatever else is built, so that variants of one model share their weights.
 */
export function randomWeights(seed: number): WeightSource {
  return (name, shape, deviation) => {
    const next = xorshift32(hash(name, seed));
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const scale = (2 * Math.sqrt(3) * deviation) / 2 ** 32;
    for (let i = 0; i < values.length; i++) values[i] = (next() - 2 ** 31) * scale;
    return values;
  };
}

/** Marsaglia's xorshift generator with period 2^32 − 1 (doi:10.18637/jss.v008.i14); returns unsigned 32-bit integers. */
function xorshift32(seed: number): () => number {
  let state = seed === 0 ? 1 : seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** FNV-1a over the text, started from the seed. */
function hash(text: string, seed: number): number {
  let value = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value;
}
