import { expect, test } from 'vitest';
import { changeableNames, faultOf, readChangeable } from './changeable.ts';

test('changes are read as the environment is', () => {
  const { settings, faults } = readChangeable({ MAX_BATCH_SIZE: '4', MAX_QUEUE_DELAY_MS: '0', LOG_LEVEL: 'debug' });
  expect(settings).toEqual({ maxBatchSize: 4, maxQueueDelayMs: 0, logLevel: 'debug' });
  expect(faults).toEqual([]);
});

test('a malformed change is named, and takes nothing but itself out', () => {
  const { settings, faults } = readChangeable({ MAX_BATCH_SIZE: 'many', MAX_BATCH_TOKENS: '512', API_KEYS: 'x' });
  expect(settings).toEqual({ maxBatchTokens: 512 });
  expect(faults.map(({ name }) => name)).toEqual(['MAX_BATCH_SIZE', 'API_KEYS']);
  expect(faults[0]?.problem).toBe('expected an integer from 1 to 1024');
});

test('what cannot be changed is told with what can', () => {
  expect(faultOf('REDIS_URL', 'redis://other')?.problem).toContain(changeableNames.join(', '));
  expect(faultOf('MAX_QUEUE_SIZE', '0')?.problem).toContain('an integer from 1');
  expect(faultOf('MAX_QUEUE_SIZE', '10')).toBeUndefined();
});
