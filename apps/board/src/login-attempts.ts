import { isIPv6 } from 'node:net';

/** Wrong passwords of one address within a minute, after which it is refused until that minute is over. */
const MOST_WRONG = 10;
const MINUTE_MS = 60_000;
/** Addresses that are remembered; for one more, the one that began longest ago is forgotten. */
const MAX_ADDRESSES = 10_000;

/** Counts wrong passwords by address: a password of eight characters must not be found by trying. */
export class LoginAttempts {
  readonly #now: () => number;
  /** In the order in which their minutes began. */
  readonly #byNetwork = new Map<string, { wrong: number; since: number }>();

  /** @param now a clock in ms that is never set */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** For how long an address is still refused, in ms; 0 where it may try. */
  waitMs(address: string): number {
    const { wrong, since } = this.#byNetwork.get(networkOf(address)) ?? { wrong: 0, since: 0 };
    return wrong < MOST_WRONG ? 0 : Math.max(0, since + MINUTE_MS - this.#now());
  }

  /** Notes a wrong password; returns how many that makes in this address's minute. */
  note(address: string): number {
    const now = this.#now();
    this.#forgetBefore(now - MINUTE_MS);
    const network = networkOf(address);
    const known = this.#byNetwork.get(network);
    if (known !== undefined) return ++known.wrong;
    const [oldest] = this.#byNetwork.keys();
    if (oldest !== undefined && this.#byNetwork.size >= MAX_ADDRESSES) this.#byNetwork.delete(oldest);
    this.#byNetwork.set(network, { wrong: 1, since: now });
    return 1;
  }

  #forgetBefore(time: number): void {
    for (const [network, { since }] of this.#byNetwork) {
      if (since > time) return;
      this.#byNetwork.delete(network);
    }
  }
}

/** An address, or the first 64 bits of an IPv6 one: who has one of those has them all. */
function networkOf(address: string): string {
  // How an IPv4 address looks on a socket that takes both.
  const plain = address.replace(/^::ffff:/, '');
  if (!isIPv6(plain)) return plain;
  const [head = [], tail = []] = plain.split('::').map((side) => side.split(':').filter((group) => group !== ''));
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}
