import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { registryKeys } from './keys.ts';
import { openTenantLedger, type TenantBounds, type TenantLedger } from './tenant-ledger.ts';

const redisUrl = inject('redisUrl');
let prefix: string;
let redis: Redis;
/** Two replicas of the API. */
let one: TenantLedger;
let other: TenantLedger;

beforeEach(() => {
  prefix = `test-${randomUUID()}`;
  redis = new Redis(redisUrl);
  one = openTenantLedger({ redisUrl, prefix });
  other = openTenantLedger({ redisUrl, prefix });
});
afterEach(() => {
  redis.disconnect();
  one.close();
  other.close();
});

const MINUTE = 60_000;
const requests: TenantBounds = { maxInFlight: 2, tokensPerMinute: 0 };
const tokens: TenantBounds = { maxInFlight: 0, tokensPerMinute: 600 };
const keys = () => registryKeys(prefix).tenant('acme');

test('replicas count a tenant’s requests together; another’s do not count', async () => {
  expect(await one.enter('acme', 'a', MINUTE, requests)).toMatchObject({ state: 'in', inFlight: 1 });
  expect(await other.enter('acme', 'b', MINUTE, requests)).toMatchObject({ state: 'in', inFlight: 2 });
  expect(await one.enter('acme', 'c', MINUTE, requests)).toMatchObject({ state: 'busy', inFlight: 2 });
  expect(await one.enter('beta', 'd', MINUTE, requests)).toMatchObject({ state: 'in', inFlight: 1 });
  await other.leave('acme', 'a', 0, requests);
  await other.leave('acme', 'a', 0, requests);
  expect(await one.enter('acme', 'c', MINUTE, requests)).toMatchObject({ state: 'in', inFlight: 2 });
});

test('of a burst over both replicas, exactly so many come in', async () => {
  const ledgers = [one, other];
  const states = await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      ledgers[n % 2]?.enter('acme', `v-${n}`, MINUTE, { ...requests, maxInFlight: 7 }),
    ),
  );
  expect(states.filter((standing) => standing?.state === 'in')).toHaveLength(7);
});

test('what a replica that died had in flight is over after its time, and leaves nothing behind', async () => {
  await one.enter('acme', 'a', 50, requests);
  await one.enter('acme', 'b', 50, requests);
  expect(await other.enter('acme', 'c', 50, requests)).toMatchObject({ state: 'busy' });
  await sleep(80);
  expect(await redis.exists(keys().visits)).toBe(0);
  expect(await other.enter('acme', 'c', 50, requests)).toMatchObject({ state: 'in', inFlight: 1 });
});

test('tokens are shared, may be overdrawn, and come back evenly', async () => {
  expect(await one.enter('acme', '', MINUTE, tokens)).toEqual({ state: 'in', inFlight: 1, tokens: 600 });
  await one.leave('acme', 'a', 500, tokens);
  await other.leave('acme', 'b', 250, tokens);
  const spent = await other.enter('acme', 'c', MINUTE, tokens);
  expect(spent.state).toBe('spent');
  expect(spent.tokens).toBeLessThan(-140);
  // As if 20 s had passed: 200 tokens came back.
  await redis.hincrby(keys().tokens, 'at', -20_000);
  const back = await one.enter('acme', 'c', MINUTE, tokens);
  expect([back.state, back.tokens > 40, back.tokens < 60]).toEqual(['in', true, true]);
  expect(await redis.pttl(keys().tokens)).toBeGreaterThan(0);
});

test('what only asks is not in flight', async () => {
  for (let n = 0; n < 5; n++) expect(await one.enter('acme', '', MINUTE, requests)).toMatchObject({ inFlight: 1 });
});
