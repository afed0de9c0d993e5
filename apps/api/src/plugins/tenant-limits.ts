import { ShoalError } from '@shoal/protocol';

export interface TenantLimitsOptions {
  /** Requests of one tenant whose callers wait at the same time; 0: any number. */
  maxInFlight: number;
  /** Tokens of prompts and answers that one tenant may use in a minute; 0: any number. */
  tokensPerMinute: number;
  /** Unix time in milliseconds. */
  clock: () => number;
}

/** One request of a tenant, counted in. */
export interface Visit {
  /** `x-ratelimit-*`, as official clients read them; none where there are no limits. */
  readonly headers: Readonly<Record<string, string>>;
  /** Counts it out, with the tokens that it used. Idempotent. */
  leave(tokens: number): void;
}

/** What one tenant has in flight, and the tokens it has left: a bucket that refills evenly, and may be overdrawn. */
interface Account {
  inFlight: number;
  tokens: number;
  /** When `tokens` was right. */
  at: number;
}

const LONGEST_RETRY_AFTER_MS = 30_000;
const IN_FLIGHT_RETRY_AFTER_MS = 1_000;

/**
 * Keeps one tenant from using up the service for the others. Counts what passes this process; the tenants are those of
 * the configured keys, so there are few accounts. What a request will use is not known before it ends: it is let in
 * while anything is left, and what it used is taken off afterwards.
 */
export class TenantLimits {
  readonly #options: TenantLimitsOptions;
  readonly #accounts = new Map<string, Account>();

  constructor(options: TenantLimitsOptions) {
    this.#options = options;
  }

  /** Counts a request in. Throws `rate_limit_exceeded` when the tenant has used up what it may. */
  enter(tenant: string | undefined): Visit {
    if (tenant === undefined) return FREE;
    const account = this.#account(tenant);
    this.#refuse(account);
    account.inFlight += 1;
    let inside = true;
    return {
      headers: this.#headers(account),
      leave: (tokens) => {
        if (!inside) return;
        inside = false;
        account.inFlight -= 1;
        this.#refill(account);
        account.tokens -= tokens;
      },
    };
  }

  #account(tenant: string): Account {
    const { tokensPerMinute, clock } = this.#options;
    const account = this.#accounts.get(tenant) ?? { inFlight: 0, tokens: tokensPerMinute, at: clock() };
    this.#accounts.set(tenant, account);
    this.#refill(account);
    return account;
  }

  #refill(account: Account): void {
    const { tokensPerMinute, clock } = this.#options;
    const now = clock();
    account.tokens = Math.min(tokensPerMinute, account.tokens + ((now - account.at) * tokensPerMinute) / 60_000);
    account.at = now;
  }

  #refuse(account: Account): void {
    const { maxInFlight, tokensPerMinute } = this.#options;
    if (maxInFlight > 0 && account.inFlight >= maxInFlight) {
      const message = `your key has ${account.inFlight} requests in flight, and may have ${maxInFlight}; wait for one to end`;
      throw new ShoalError('rate_limit_exceeded', message, { retryAfterMs: IN_FLIGHT_RETRY_AFTER_MS });
    }
    if (tokensPerMinute > 0 && account.tokens <= 0) {
      const message = `your key has used the ${tokensPerMinute} tokens that it may in a minute; try again later`;
      throw new ShoalError('rate_limit_exceeded', message, { retryAfterMs: this.#untilTokens(account) });
    }
  }

  #untilTokens({ tokens }: Account): number {
    const wait = ((1 - tokens) * 60_000) / this.#options.tokensPerMinute;
    return Math.ceil(Math.min(Math.max(0, wait), LONGEST_RETRY_AFTER_MS));
  }

  #headers(account: Account): Record<string, string> {
    const { maxInFlight, tokensPerMinute } = this.#options;
    const headers: Record<string, string> = {};
    if (maxInFlight > 0) {
      headers['x-ratelimit-limit-requests'] = String(maxInFlight);
      headers['x-ratelimit-remaining-requests'] = String(maxInFlight - account.inFlight);
    }
    if (tokensPerMinute > 0) {
      const missing = tokensPerMinute - account.tokens;
      headers['x-ratelimit-limit-tokens'] = String(tokensPerMinute);
      headers['x-ratelimit-remaining-tokens'] = String(Math.floor(account.tokens));
      headers['x-ratelimit-reset-tokens'] = `${Math.ceil((missing * 60) / tokensPerMinute)}s`;
    }
    return headers;
  }
}

const FREE: Visit = { headers: {}, leave: () => {} };
