import { describe, expect, it } from 'vitest';
import { readable } from './log-lines.mjs';

describe('readable', () => {
  it('turns JSON into a sentence and its facts', () => {
    const line = '{"level":40,"time":1,"pid":2,"msg":"slow","jobId":"a1","took":{"ms":3}}';
    expect(readable(line)).toEqual({ level: 40, text: 'slow jobId=a1 took={"ms":3}' });
  });

  it('leaves other lines alone, and takes a word of alarm for an error', () => {
    expect(readable('listening')).toEqual({ level: 30, text: 'listening' });
    expect(readable('{not json')).toMatchObject({ text: '{not json' });
    expect(readable('fatal error: out of memory').level).toBe(50);
  });
});
