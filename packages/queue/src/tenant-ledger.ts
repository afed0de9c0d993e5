import { z } from 'zod';
import { type Connect, connector, promptly } from './connection.ts';
import { type RegistryKeys, registryKeys } from './keys.ts';
import { ENTER, LEAVE } from './lua/tenant-ledger.ts';
import type { RedisClient } from './redis-address.ts';

/** What one tenant may use; 0 is any number. */
export interface TenantBounds {
  maxInFlight: number;
  tokensPerMinute: number;
}

/** How an account stands. */
export interface TenantStanding {
  /** `in`: counted in; `busy`: too many in flight; `spent`: no tokens left. */
  state: 'in' | 'busy' | 'spent';
  /** Requests in flight, this one included if it is in. */
  inFlight: number;
  /** Tokens left; below 0 where more was used than there was. */
  tokens: number;
}

/** The accounts of all tenants, which all replicas share. Rejects with `unavailable` when Redis is away. */
export interface TenantLedger {
  /**
   * Counts a request in if the tenant may have one more.
   *
   * @param visit unique; '' only asks, and is not in flight
   * @param holdMs after which it counts as over, should nobody say so
   */
  enter(tenant: string, visit: string, holdMs: number, bounds: TenantBounds): Promise<TenantStanding>;
  /** Counts it out, and takes off the tokens that it used. */
  leave(tenant: string, visit: string, tokens: number, bounds: TenantBounds): Promise<void>;
  close(): void;
}

export interface TenantLedgerOptions {
  redisUrl: string;
  /** `QUEUE_PREFIX`. */
  prefix: string;
  /** For tests: how the connection is made. */
  connect?: Connect;
}

export function openTenantLedger(options: TenantLedgerOptions): TenantLedger {
  const redis = (options.connect ?? connector(options.redisUrl))('commands-now');
  return new RedisTenantLedger(registryKeys(options.prefix), redis);
}

const Standing = z
  .tuple([z.enum(['in', 'busy', 'spent']), z.number(), z.coerce.number()])
  .transform(([state, inFlight, tokens]): TenantStanding => ({ state, inFlight, tokens }));

class RedisTenantLedger implements TenantLedger {
  readonly #keys: RegistryKeys;
  readonly #redis: RedisClient;

  constructor(keys: RegistryKeys, redis: RedisClient) {
    this.#keys = keys;
    this.#redis = redis;
  }

  async enter(tenant: string, visit: string, holdMs: number, bounds: TenantBounds): Promise<TenantStanding> {
    const { visits, tokens } = this.#keys.tenant(tenant);
    const args = [tokens, bounds.maxInFlight, bounds.tokensPerMinute, visit, holdMs];
    return Standing.parse(await promptly(this.#redis, (redis) => ENTER.run(redis, visits, args)));
  }

  async leave(tenant: string, visit: string, used: number, { tokensPerMinute }: TenantBounds): Promise<void> {
    const { visits, tokens } = this.#keys.tenant(tenant);
    await promptly(this.#redis, (redis) => LEAVE.run(redis, visits, [tokens, tokensPerMinute, visit, used]));
  }

  close(): void {
    this.#redis.disconnect();
  }
}
