import { ShoalError } from '@shoal/protocol';
import { Tally } from '../tally.ts';

export interface OpenStreamsOptions {
  /** Streams at a time; left out for any number. */
  most?: number;
  /** … and of them of one tenant. */
  mostOfTenant: number;
}

const RETRY_AFTER_MS = 5_000;

/** Counts the event streams of one kind that this process holds open, so that no tenant has the places of all. */
export class OpenStreams {
  readonly #options: OpenStreamsOptions;
  readonly #ofTenant = new Tally();
  #open = 0;

  constructor(options: OpenStreamsOptions) {
    this.#options = options;
  }

  /** Counts one in; call what it returns once, at the end. Throws `rate_limit_exceeded` when there may be no more. */
  enter(tenant: string | undefined): () => void {
    const { most = Number.POSITIVE_INFINITY, mostOfTenant } = this.#options;
    if (this.#open >= most) throw refusal(`${this.#open} callers follow such events here already`);
    const theirs = tenant === undefined ? 0 : this.#ofTenant.of(tenant);
    if (theirs >= mostOfTenant)
      throw refusal(`your key has ${theirs} such streams open here, which is all it may have`);
    this.#open += 1;
    if (tenant !== undefined) this.#ofTenant.add(tenant);
    return () => {
      this.#open -= 1;
      if (tenant !== undefined) this.#ofTenant.remove(tenant);
    };
  }
}

function refusal(problem: string): ShoalError {
  return new ShoalError('rate_limit_exceeded', `${problem}; try again later`, { retryAfterMs: RETRY_AFTER_MS });
}
