import type { RequestEvent } from '@shoal/protocol';
import { expect, it } from 'vitest';
import { readTold } from './reply-source.ts';
import { sampleTokens } from './testing/requests.ts';

it('reads what is told of several jobs, in order, and says of which it cannot be read', () => {
  const heard: [string, RequestEvent[] | undefined][] = [];
  const lines = [
    'a',
    JSON.stringify([sampleTokens(0), sampleTokens(1)]),
    'b',
    'nonsense',
    'a',
    JSON.stringify(sampleTokens(2)),
    'c',
  ];
  readTold(lines.join('\n'), (jobId, events) => heard.push([jobId, events]));
  expect(heard).toEqual([
    ['a', [sampleTokens(0), sampleTokens(1)]],
    ['b', undefined],
    ['a', [sampleTokens(2)]],
  ]);
});
