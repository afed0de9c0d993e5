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
  const order = rows.map((row) => [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0) || a - b));
  return {
    count: Math.min(temperatures === undefined ? 1 : count, logits[0]?.length ?? 0),
    id: (row, index) => order[row]?.[index] ?? -1,
    value: (row, index) => rows[row]?.[order[row]?.[index] ?? -1] ?? Number.NaN,
    logSumExp: (row) => logSumExp(rows[row] ?? [], temperatures?.[row] ?? 1),
  };
}

function logSumExp(values: Iterable<number>, temperature: number): number {
  const scaled = Array.from(values, (value) => value / temperature);
  const highest = Math.max(...scaled);
  return highest + Math.log(scaled.reduce((sum, value) => sum + Math.exp(value - highest), 0));
}
