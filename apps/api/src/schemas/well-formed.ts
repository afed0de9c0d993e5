export const WELL_FORMED = 'must be well-formed Unicode';

/** False for text with half a surrogate pair (`"\ud800"` in JSON), which no tokenizer can read. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
