import type { CandidateRequest, Candidates } from '../model-runner/candidates.ts';
import type { StepOutput } from '../model-runner/model-runner.ts';

/** A step's output over given logits, its candidates computed in plain arithmetic: `count` of them per row. */
export function plainOutput(logits: readonly Float32Array[], count: number): StepOutput {
  return {
    rows: logits.length,
    logits: (row) => {
      const values = logits[row];
      if (values === undefined) throw new Error(`there is no row ${row}`);
      return values;
    },
    candidates: async (request) => plainCandidates(logits, request, count),
  };
}

function plainCandidates(logits: readonly Float32Array[], request: CandidateRequest, count: number): Candidates {
  const { temperatures, additions } = request;
  const rows = logits.map((row) => row.slice());
  for (const [i, row] of (additions?.rows ?? []).entries()) {
    const token = additions?.tokenIds[i] ?? -1;
    const values = rows[row];
    if (values !== undefined) values[token] = (values[token] ?? Number.NaN) + (additions?.values[i] ?? 0);
  }
  const order = request.likeliest ? rows.map(byLikelihood) : [];
  const probabilities = temperatures === undefined ? [] : rows.map((row, i) => softmax(row, temperatures[i] ?? 1));
  return {
    count: request.likeliest ? Math.min(count, logits[0]?.length ?? 0) : 0,
    best: (row) => (request.best ? best(rows[row] ?? new Float32Array()) : -1),
    id: (row, index) => order[row]?.[index] ?? -1,
    probabilities: (row) => probabilities[row] ?? new Float32Array(),
    blockMasses: (row) => Float32Array.of(probabilities[row]?.reduce((sum, share) => sum + share, 0) ?? Number.NaN),
  };
}

function best(row: Float32Array): number {
  let leader = 0;
  for (let id = 1; id < row.length; id++) if ((row[id] ?? 0) > (row[leader] ?? 0)) leader = id;
  return Number.isFinite(row[leader]) ? leader : -1;
}

function byLikelihood(row: Float32Array): number[] {
  return [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b);
}

function softmax(values: Float32Array, temperature: number): Float32Array {
  const highest = Math.max(...values);
  const weights = Float64Array.from(values, (value) => Math.exp((value - highest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Float32Array.from(weights, (weight) => weight / total);
}
