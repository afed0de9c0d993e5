import type { Narrowing } from './distribution.ts';

/** Tokens share a bucket when the upper bits of their probability agree: sign, exponent and four bits behind it. */
const BUCKET_SHIFT = 19;
const BUCKETS = 1 << (32 - BUCKET_SHIFT - 1);

/** The most likely tokens of a row: all of the buckets above `bucket`, and `inside` of that bucket's most likely. */
interface Head {
  count: number;
  mass: number;
  bucket: number;
  inside: number;
}

/**
 * A row's whole distribution, ranked as far as a question asks: for draws that the listed tokens cannot decide.
 * Probabilities are put into buckets by their float32 bits, which order them, so that only the bucket at the border
 * of what is kept is ever sorted.
 */
export class RankedRow {
  readonly #probabilities: Float32Array;
  readonly #bits: Uint32Array;
  readonly #counts = new Uint32Array(BUCKETS);
  readonly #masses = new Float64Array(BUCKETS);
  #highest = 0;

  /** @param probabilities `[vocabSize]`, none below 0 */
  constructor(probabilities: Float32Array) {
    this.#probabilities = probabilities;
    this.#bits = new Uint32Array(probabilities.buffer, probabilities.byteOffset, probabilities.length);
    for (let id = 0; id < probabilities.length; id++) {
      const probability = probabilities[id] ?? 0;
      const bucket = this.#bucketOf(id);
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
      this.#masses[bucket] = (this.#masses[bucket] ?? 0) + probability;
      if (probability > this.#highest) this.#highest = probability;
    }
  }

  /** The token at `u` of the narrowed distribution (see `drawListed`), the kept tokens side by side by their ids. */
  draw({ topK, topP, minP = 0 }: Narrowing, u: number): number {
    let kept = this.#head((head) => head.count < this.#probabilities.length);
    if (minP > 0) kept = this.#head((_, probability) => probability >= minP * this.#highest);
    if (topK > 0 && topK < kept.count) kept = this.#head((head) => head.count < topK);
    if (topP < 1) {
      const wanted = topP * kept.mass;
      kept = this.#head((head) => head.mass < wanted && head.count < kept.count);
    }
    return this.#pick(kept, u * kept.mass);
  }

  /**
   * The longest head of which `belongs` says yes to every token: it is told what lies before the token, and its
   * probability, and once it says no, it says no to all that follow.
   */
  #head(belongs: (before: { count: number; mass: number }, probability: number) => boolean): Head {
    const head: Head = { count: 0, mass: 0, bucket: BUCKETS, inside: 0 };
    for (let bucket = BUCKETS - 1; bucket >= 0; bucket--) {
      const count = this.#counts[bucket] ?? 0;
      const mass = this.#masses[bucket] ?? 0;
      if (count === 0) continue;
      const last = { count: head.count + count - 1, mass: head.mass + mass };
      // The mass before the bucket's last token is below `last.mass`, so a yes to that is a yes to all of them.
      if (belongs(last, lowest(bucket))) {
        head.count += count;
        head.mass += mass;
        head.bucket = bucket;
        head.inside = count;
        continue;
      }
      head.bucket = bucket;
      head.inside = 0;
      for (const id of this.#sorted(bucket)) {
        const probability = this.#probabilities[id] ?? 0;
        if (!belongs(head, probability)) return head;
        head.count += 1;
        head.mass += probability;
        head.inside += 1;
      }
    }
    return head;
  }

  #pick(head: Head, target: number): number {
    const border = new Set(this.#sorted(head.bucket).slice(0, head.inside));
    let reached = 0;
    let last = 0;
    for (let id = 0; id < this.#probabilities.length; id++) {
      const bucket = this.#bucketOf(id);
      if (bucket < head.bucket || (bucket === head.bucket && !border.has(id))) continue;
      last = id;
      reached += this.#probabilities[id] ?? 0;
      if (reached > target) break;
    }
    return last;
  }

  #sorted(bucket: number): number[] {
    const ids: number[] = [];
    for (let id = 0; id < this.#probabilities.length; id++) if (this.#bucketOf(id) === bucket) ids.push(id);
    return ids.sort((a, b) => (this.#probabilities[b] ?? 0) - (this.#probabilities[a] ?? 0) || a - b);
  }

  #bucketOf(id: number): number {
    return (this.#bits[id] ?? 0) >>> BUCKET_SHIFT;
  }
}

/** The lowest probability that falls into a bucket. */
function lowest(bucket: number): number {
  return new Float32Array(Uint32Array.of(bucket << BUCKET_SHIFT).buffer)[0] ?? 0;
}
