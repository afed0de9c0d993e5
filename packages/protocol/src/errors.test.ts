import { describe, expect, it } from 'vitest';
import { ERROR_CODES, ERROR_TABLE, isErrorCode, ShoalError } from './errors.ts';

describe('the error table', () => {
  it('answers every code with a status that its retryability agrees with', () => {
    for (const code of ERROR_CODES) {
      const { status, retryable } = ERROR_TABLE[code];
      expect(status).toBeGreaterThanOrEqual(400);
      // A client error other than 429 is never worth repeating unchanged.
      if (status < 500 && status !== 429) expect(retryable, code).toBe(false);
      if (status === 429 || status === 503) expect(retryable, code).toBe(true);
    }
  });

  it('knows its own codes only', () => {
    expect(isErrorCode('queue_full')).toBe(true);
    expect(isErrorCode('toString')).toBe(false);
    expect(isErrorCode(undefined)).toBe(false);
  });
});

describe('ShoalError', () => {
  it('survives the trip through its body', () => {
    const error = new ShoalError('queue_full', 'The queue is full; try again later.', { retryAfterMs: 1500 });
    const copy = ShoalError.fromBody(JSON.parse(JSON.stringify(error.toBody())));
    expect(copy).toMatchObject({ code: 'queue_full', message: error.message, retryAfterMs: 1500, status: 429 });
    expect(copy.param).toBeUndefined();
  });

  it('leaves the cause behind when it travels: causes may hold prompts', () => {
    const error = new ShoalError('inference_error', 'The model run failed.', { cause: new Error('secret prompt') });
    expect(JSON.stringify(error.toBody())).not.toContain('secret');
  });
});
