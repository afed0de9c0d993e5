const GOLDEN_ANGLE = 137.508;

/** A hue for a job, 0 … 360: neighbours in one request get hues far apart. */
export function hueOf(jobId: string): number {
  const [, base = jobId, index = '0'] = /^(.*?)(?:-(\d+))?$/.exec(jobId) ?? [];
  let hash = 0;
  for (const character of base) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 100_003;
  return Math.round(((hash + Number(index)) * GOLDEN_ANGLE) % 360);
}
