/**
 * The contents of `tokenizer.json`, with `Digits` written as the splits that Hugging Face's own tokenizers make of it: at
 * all of Unicode's numbers (½, ③, １), where the library knows 0 to 9 alone.
 */
export function withUnicodeDigits(tokenizerJson: object): object {
  if (!('pre_tokenizer' in tokenizerJson)) return tokenizerJson;
  return { ...tokenizerJson, pre_tokenizer: rewritten(tokenizerJson.pre_tokenizer) };
}

function rewritten(step: unknown): unknown {
  if (typeof step !== 'object' || step === null || !('type' in step)) return step;
  if (step.type === 'Digits') {
    const each = 'individual_digits' in step && step.individual_digits === true;
    return { type: 'Split', pattern: { Regex: each ? '\\p{N}' : '\\p{N}+' }, behavior: 'Isolated', invert: false };
  }
  if (step.type !== 'Sequence' || !('pretokenizers' in step) || !Array.isArray(step.pretokenizers)) return step;
  const steps: unknown[] = step.pretokenizers;
  return { ...step, pretokenizers: steps.map(rewritten) };
}
