import { randomUUID } from 'node:crypto';
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
/** Redis's clock, in milliseconds, rounded down as its scripts do. */
const redisNow = async () => {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
};
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
  await one.enter('acme', 'a', MINUTE, requests);
  await one.enter('acme', 'b', MINUTE, requests);
  expect(await other.enter('acme', 'c', MINUTE, requests)).toMatchObject({ state: 'busy' });
  const left = await redis.pttl(keys().visits);
  expect([left > 0, left <= MINUTE]).toEqual([true, true]);
  // As if their time had passed.
  await redis.zadd(keys().visits, 0, 'a', 0, 'b');
  expect(await other.enter('acme', 'c', MINUTE, requests)).toMatchObject({ state: 'in', inFlight: 1 });
  expect(await redis.zrange(keys().visits, 0, -1)).toEqual(['c']);
});

test('tokens are shared, may be overdrawn, and come back evenly', async () => {
  expect(await one.enter('acme', '', MINUTE, tokens)).toEqual({ state: 'in', inFlight: 1, tokens: 600 });
  const begun = await redisNow();
  await one.leave('acme', 'a', 5000, tokens);
  await other.leave('acme', 'b', 2500, tokens);
  const spent = await other.enter('acme', 'c', MINUTE, tokens);
  expect(spent.state).toBe('spent');
  const returned = ((await redisNow()) - begun) / 100;
  expect([spent.tokens >= -6900, spent.tokens <= -6899 + returned]).toEqual([true, true]);
  // As if 695 s had passed: 6950 tokens came back.
  await redis.hincrby(keys().tokens, 'at', -695_000);
  const back = await one.enter('acme', 'c', MINUTE, tokens);
  const since = ((await redisNow()) - begun) / 100;
  // Tokens are told rounded.
  expect([back.state, back.tokens >= 50, back.tokens <= 51 + since]).toEqual(['in', true, true]);
  expect(await redis.pttl(keys().tokens)).toBeGreaterThan(0);
});

test('what only asks is not in flight', async () => {
  for (let n = 0; n < 5; n++) expect(await one.enter('acme', '', MINUTE, requests)).toMatchObject({ inFlight: 1 });
});
