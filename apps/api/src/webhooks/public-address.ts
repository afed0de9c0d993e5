import { type LookupAddress, lookup as resolve } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** IANA's special-purpose IPv4 blocks, and what is not unicast. */
const CLOSED_IPV4: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
/** Inside 2000::/3, outside of which nothing is public: protocol assignments, documentation, 6to4. */
const CLOSED_IPV6: readonly [string, number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

const closed = new BlockList();
for (const [network, prefix] of CLOSED_IPV4) closed.addSubnet(network, prefix, 'ipv4');
for (const [network, prefix] of CLOSED_IPV6) closed.addSubnet(network, prefix, 'ipv6');
const global = new BlockList();
global.addSubnet('2000::', 3, 'ipv6');

/** True for an address of the public Internet; what is written in another's form (`::ffff:10.0.0.1`) is not one. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !closed.check(address, 'ipv4');
  return family === 6 && global.check(address, 'ipv6') && !closed.check(address, 'ipv6');
}

export class ClosedAddressError extends Error {
  constructor() {
    super('the address is not a public one');
    this.name = 'ClosedAddressError';
  }
}

/** What resolves names: `dns.lookup`, or a test's own. */
export type Resolve = (
  hostname: string,
  options: { all: true; family?: number },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * A `lookup` for sockets that gives only public addresses. The socket connects to the very addresses that were checked
 * here, so that a name that resolves to another one a moment later gains nothing.
 */
export function publicLookup(resolveAll: Resolve = resolve): LookupFunction {
  return (hostname, options, done) => {
    const family = options.family === 4 || options.family === 6 ? { family: options.family } : {};
    resolveAll(hostname, { all: true, ...family }, (error, addresses) => {
      const open = (addresses ?? []).filter(({ address }) => isPublicAddress(address));
      const [first] = open;
      if (error !== null) done(error, '');
      else if (first === undefined) done(new ClosedAddressError(), '');
      else if (options.all === true) done(null, open);
      else done(null, first.address, first.family);
    });
  };
}

/** The address that a URL names outright, without a name to resolve; `undefined` for a name. */
export function literalAddress(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? undefined : host;
}
