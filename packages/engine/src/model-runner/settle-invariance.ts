import type { TunableRunner } from './create-runner.ts';
import { type Invariance, probeInvariance } from './probe-invariance.ts';

/** Probes the model; where only a lone row differs from one in company, lone rows get company. */
export async function settleInvariance(runner: TunableRunner): Promise<Invariance> {
  const bare = await probeInvariance(runner);
  if (bare.batch) return bare;
  runner.padsLoneRow = true;
  const padded = await probeInvariance(runner);
  if (!padded.batch) runner.padsLoneRow = false;
  return padded.batch ? padded : bare;
}
