import type { TenantBounds, TenantLedger, TenantStanding } from '@shoal/queue';

interface Account {
  visits: Set<string>;
  tokens: number;
  /** When `tokens` was right. */
  at: number;
}

/** A {@link TenantLedger} of one process alone: enough where there is one, and for tests. */
export class ProcessLedger implements TenantLedger {
  readonly #accounts = new Map<string, Account>();
  readonly #clock: () => number;

  /** `clock` tells Unix milliseconds. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  async enter(tenant: string, visit: string, _holdMs: number, bounds: TenantBounds): Promise<TenantStanding> {
    const { visits, tokens } = this.#account(tenant, bounds);
    if (bounds.maxInFlight > 0 && visits.size >= bounds.maxInFlight) {
      return { state: 'busy', inFlight: visits.size, tokens };
    }
    if (bounds.tokensPerMinute > 0 && tokens <= 0) return { state: 'spent', inFlight: visits.size, tokens };
    const inFlight = visits.size + 1;
    if (visit !== '') visits.add(visit);
    return { state: 'in', inFlight, tokens };
  }

  async leave(tenant: string, visit: string, tokens: number, bounds: TenantBounds): Promise<void> {
    const account = this.#account(tenant, bounds);
    account.visits.delete(visit);
    account.tokens -= tokens;
  }

  close(): void {}

  #account(tenant: string, { tokensPerMinute }: TenantBounds): Account {
    const now = this.#clock();
    const account = this.#accounts.get(tenant) ?? { visits: new Set(), tokens: tokensPerMinute, at: now };
    this.#accounts.set(tenant, account);
    account.tokens = Math.min(tokensPerMinute, account.tokens + ((now - account.at) * tokensPerMinute) / 60_000);
    account.at = now;
    return account;
  }
}
