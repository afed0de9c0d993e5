import type { LookupAddress } from 'node:dns';
import { describe, expect, test } from 'vitest';
import { isPublicAddress, literalAddress, publicLookup } from './public-address.ts';

describe('an address', () => {
  test.each([
    ...['127.0.0.1', '127.255.255.255', '0.0.0.0', '10.1.2.3', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
    ...['169.254.169.254', '100.64.0.1', '192.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.7', '203.0.113.9'],
    ...['224.0.0.1', '240.0.0.1', '255.255.255.255', '::', '::1', 'fe80::1', 'fc00::1', 'fd00:ec2::254', 'ff02::1'],
    ...['::ffff:10.0.0.1', '::ffff:8.8.8.8', '64:ff9b::7f00:1', '2002:7f00:1::', '2001:db8::1', '2001::1', 'fec0::1'],
    ...['localhost', '', '1.2.3', '0x7f.1'],
  ])('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  test.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '223.255.255.255', '2606:4700::1111', '2a00:1450::1'])(
    '%s is public',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  test.each([
    ['https://2130706433/', '127.0.0.1'],
    ['https://0x7f.1/', '127.0.0.1'],
    ['https://0177.0.0.1/', '127.0.0.1'],
    ['https://[::1]:443/', '::1'],
    ['https://[::ffff:7f00:1]/', '::ffff:7f00:1'],
    ['https://example.com/', undefined],
  ])('of %s is read as sockets read it', (url, address) => {
    expect(literalAddress(new URL(url))).toBe(address);
  });
});

describe('a lookup', () => {
  const found = (addresses: LookupAddress[], all: boolean) =>
    new Promise<unknown>((resolve) => {
      const lookup = publicLookup((_host, _options, done) => done(null, addresses));
      lookup('example.com', { all }, (error, ...rest) => resolve(error ?? rest));
    });
  const closed = { address: '10.0.0.1', family: 4 };
  const open = { address: '8.8.8.8', family: 4 };

  test('gives the public addresses of a name, and none of the others', async () => {
    expect(await found([closed, open], true)).toEqual([[open]]);
    expect(await found([closed, open], false)).toEqual(['8.8.8.8', 4]);
  });

  test('fails for a name without a public one, or without any', async () => {
    expect(await found([closed], true)).toMatchObject({ name: 'ClosedAddressError' });
    expect(await found([], false)).toMatchObject({ name: 'ClosedAddressError' });
  });
});
