/** How a request ended, as its client was told. */
export type Outcome =
  | { kind: 'completed'; texts: string[]; finishReasons: string[] }
  | { kind: 'failed'; code: string; message?: string };

/** Which ends a client may be told, besides the right answer. */
export interface Terms {
  /** What kind of request it is, for tables. */
  kind: string;
  /** The undisturbed answer: texts and finish reasons, one per choice. Undefined for a request that cannot have one. */
  expected: { texts: string[]; finishReasons: string[] } | undefined;
  /** Error codes that are right answers too. */
  allowed: readonly string[];
  /** The deadline that it names, in milliseconds from its acceptance. */
  timeoutMs?: number;
  /** Others may have had the answer before: it is kept from then on, not from the end of this request on. */
  shared?: boolean;
}

/** How `/v1/jobs` shows such an end. */
export function statusOf(outcome: Outcome): 'completed' | 'failed' | 'cancelled' | 'expired' {
  if (outcome.kind === 'completed') return 'completed';
  if (outcome.code === 'cancelled') return 'cancelled';
  return outcome.code === 'deadline_exceeded' ? 'expired' : 'failed';
}

export function describe(outcome: Outcome): string {
  if (outcome.kind === 'failed')
    return `failed with ${outcome.code}${outcome.message === undefined ? '' : ` (${outcome.message})`}`;
  return `completed, ${outcome.texts.map((text) => text.length).join('+')} characters`;
}

export function firstDifference(expected: string, got: string): string {
  let at = 0;
  while (at < expected.length && expected[at] === got[at]) at += 1;
  const part = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 10), at + 10));
  return `at character ${at} of ${expected.length} (got ${got.length}): expected ${part(expected)}, got ${part(got)}`;
}
