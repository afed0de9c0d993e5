import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { apiKeys } from './api-key.ts';

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');
const { schema } = apiKeys();

test('keys are kept as hashes, with tenant and weight', () => {
  const hash = sha256('another-key');
  expect(schema.parse(`plain-key-1, acme:plain-key-2,beta*3:sha256:${hash},sha256:${sha256('fourth-key')}`)).toEqual([
    { sha256: sha256('plain-key-1'), tenant: 'default', weight: 1 },
    { sha256: sha256('plain-key-2'), tenant: 'acme', weight: 1 },
    { sha256: hash, tenant: 'beta', weight: 3 },
    { sha256: sha256('fourth-key'), tenant: 'default', weight: 1 },
  ]);
});

test.each([
  ['too short', 'abc'],
  ['an empty entry', 'plain-key-1,'],
  ['a bad tenant', 'a b:plain-key-1'],
  ['a weight of zero', 'acme*0:plain-key-1'],
  ['a weight beyond 1000', 'acme*1001:plain-key-1'],
  ['a hash that is none', 'sha256:abcdef'],
  ['too many parts', 'a:b:plain-key-1'],
  ['white space inside', 'plain key 1'],
  ['the same key twice', `acme:plain-key-1,beta:sha256:${sha256('plain-key-1')}`],
])('%s is refused', (_, value) => {
  expect(schema.safeParse(value).success).toBe(false);
});
