import type { ApiKey } from '@shoal/config';
import { ShoalError } from '@shoal/protocol';
import type { TenantBounds, TenantLedger, TenantStanding } from '@shoal/queue';

/** The bounds are those of a tenant of weight 1. */
export interface TenantLimitsOptions extends TenantBounds {
  /** Whose weights multiply them; of several keys of one tenant the heaviest counts. */
  keys: readonly Pick<ApiKey, 'tenant' | 'weight'>[];
  ledger: TenantLedger;
  /** Unique at every call. */
  randomId: () => string;
}

/** One request of a tenant, counted in. */
export interface Visit {
  /** `x-ratelimit-*`, as official clients read them; none where there are no limits. */
  readonly headers: Readonly<Record<string, string>>;
  /** Counts it out, with the tokens that it used. Idempotent; nobody need wait for it. */
  leave(tokens: number): void;
}

const LONGEST_RETRY_AFTER_MS = 30_000;
const IN_FLIGHT_RETRY_AFTER_MS = 1_000;
/** What is counted in beyond its deadline, until another replica may forget it. */
const HOLD_MARGIN_MS = 60_000;

/**
 * Keeps one tenant from using up the service for the others. All replicas share the ledger; where nothing is limited, it
 * is not asked. What a request will use is not known before it ends: it is let in while anything is left, and what it
 * used is taken off afterwards, also where its caller left before the end. (Jobs are taken off when they are submitted,
 * by what they may use.)
 */
export class TenantLimits {
  readonly #options: TenantLimitsOptions;
  readonly #bounds = new Map<string, TenantBounds>();

  constructor(options: TenantLimitsOptions) {
    this.#options = options;
    const { keys, maxInFlight, tokensPerMinute } = options;
    for (const { tenant, weight } of [...keys].sort((a, b) => a.weight - b.weight)) {
      this.#bounds.set(tenant, { maxInFlight: maxInFlight * weight, tokensPerMinute: tokensPerMinute * weight });
    }
  }

  /** Counts a request in for as long as its caller waits. Throws `rate_limit_exceeded` when the tenant may not. */
  enter(tenant: string | undefined, timeoutMs: number): Promise<Visit> {
    return this.#enter(tenant, this.#options.randomId, timeoutMs + HOLD_MARGIN_MS);
  }

  /** As `enter`, for what nobody waits for: it is not in flight. */
  pass(tenant: string | undefined): Promise<Visit> {
    return this.#enter(tenant, () => '', 0);
  }

  async #enter(tenant: string | undefined, visitId: () => string, holdMs: number): Promise<Visit> {
    const { ledger, maxInFlight, tokensPerMinute } = this.#options;
    if (tenant === undefined || (maxInFlight === 0 && tokensPerMinute === 0)) return FREE;
    const visit = visitId();
    const bounds = this.#bounds.get(tenant) ?? { maxInFlight, tokensPerMinute };
    const standing = await ledger.enter(tenant, visit, holdMs, bounds);
    refuse(standing, bounds);
    let inside = true;
    return {
      headers: headersOf(standing, bounds),
      leave: (tokens) => {
        if (!inside) return;
        inside = false;
        // While Redis is away the visit ends by itself in time.
        ledger.leave(tenant, visit, tokens, bounds).catch(() => {});
      },
    };
  }
}

const FREE: Visit = { headers: {}, leave: () => {} };

function refuse({ state, inFlight, tokens }: TenantStanding, { maxInFlight, tokensPerMinute }: TenantBounds): void {
  if (state === 'busy') {
    const message = `your key has ${inFlight} requests in flight, and may have ${maxInFlight}; wait for one to end`;
    throw new ShoalError('rate_limit_exceeded', message, { retryAfterMs: IN_FLIGHT_RETRY_AFTER_MS });
  }
  if (state === 'spent') {
    const message = `your key has used the ${tokensPerMinute} tokens that it may in a minute; try again later`;
    const wait = ((1 - tokens) * 60_000) / tokensPerMinute;
    const retryAfterMs = Math.ceil(Math.min(Math.max(0, wait), LONGEST_RETRY_AFTER_MS));
    throw new ShoalError('rate_limit_exceeded', message, { retryAfterMs });
  }
}

function headersOf(
  { inFlight, tokens }: TenantStanding,
  { maxInFlight, tokensPerMinute }: TenantBounds,
): Record<string, string> {
  const headers: Record<string, string> = {};
  if (maxInFlight > 0) {
    headers['x-ratelimit-limit-requests'] = String(maxInFlight);
    headers['x-ratelimit-remaining-requests'] = String(Math.max(0, maxInFlight - inFlight));
  }
  if (tokensPerMinute > 0) {
    const missing = tokensPerMinute - tokens;
    headers['x-ratelimit-limit-tokens'] = String(tokensPerMinute);
    headers['x-ratelimit-remaining-tokens'] = String(Math.max(0, Math.floor(tokens)));
    headers['x-ratelimit-reset-tokens'] = `${Math.ceil((missing * 60) / tokensPerMinute)}s`;
  }
  return headers;
}
