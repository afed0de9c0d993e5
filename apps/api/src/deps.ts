import type { ApiConfig } from '@shoal/config';
import type { TenantLedger } from '@shoal/queue';
import type { ApiMetrics, Logger } from '@shoal/telemetry';
import type { RequestScopes } from './generate/request-scope.ts';
import type { Models } from './models.ts';
import type { TenantLimits } from './plugins/tenant-limits.ts';

/** Everything that the server needs from outside, so that tests can hand in their own. */
export interface ServerDeps {
  readonly config: Readonly<ApiConfig>;
  readonly models: Models;
  readonly metrics: ApiMetrics;
  readonly logger: Logger;
  /** Unix time in milliseconds. */
  readonly clock: () => number;
  /** A new request id, `[A-Za-z0-9_-]{1,60}`, never a number. */
  readonly randomId: () => string;
  /** A new seed, 0 … 2^53 − 1. */
  readonly randomSeed: () => number;
  /** What tenants use, over all replicas. Default: what this process sees of it. */
  readonly ledger?: TenantLedger;
  /** Milliseconds of silence after which an open stream gets a comment. Default 5,000. */
  readonly keepAliveMs?: number;
  /** Milliseconds that a reader may refuse to take bytes before it is cut off. Default 30,000. */
  readonly slowReaderMs?: number;
  /** Milliseconds that a request may take to arrive, and its headers half of that. Default 30,000. */
  readonly arrivalMs?: number;
}

/** What the routes work with: the parts, and what the server itself keeps. */
export interface ServerContext extends ServerDeps {
  readonly limits: TenantLimits;
  /** What is in flight; ended when the server must go. */
  readonly scopes: RequestScopes;
}
