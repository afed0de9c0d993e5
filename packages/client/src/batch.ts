import { setMaxListeners } from 'node:events';
import { type GenerateResult, ShoalError } from '@shoal/protocol';
import { Inbox } from './inbox.ts';
import type { ShoalRequest } from './request.ts';
import { RequestSource } from './request-source.ts';

export interface BatchOptions {
  /** Cancels everything that runs, and ends the loop with `cancelled`. */
  signal?: AbortSignal | undefined;
  /** Requests on their way at the same time, 1 … 1,024. Default 64. */
  concurrency?: number | undefined;
  /** Called after every change, and so at least once per token event: keep it cheap. */
  onProgress?: ((progress: BatchProgress) => void) | undefined;
}

export interface BatchProgress {
  /** Requests in all; absent while they are still being read. */
  readonly total?: number;
  /** Requests that were begun: running, completed or failed. */
  readonly submitted: number;
  readonly completed: number;
  readonly failed: number;
  /** Tokens received, of all requests. */
  readonly tokens: number;
}

/** What became of one request; `index` is its place in the batch. */
export type BatchOutcome = { readonly index: number; readonly request: ShoalRequest; readonly id?: string } & (
  | { readonly result: GenerateResult; readonly error?: never }
  | { readonly result?: never; readonly error: ShoalError }
);

/** Runs one request; tells its id and how many tokens came. */
export type RunOne = (
  request: ShoalRequest,
  signal: AbortSignal,
  told: { accepted(id: string): void; tokens(count: number): void },
) => Promise<GenerateResult>;

/** What the loop is told next. A failure that is no `ShoalError` ends it. */
type Step = { arrival: IteratorResult<ShoalRequest> } | { outcome: BatchOutcome } | { thrown: unknown };

/** Outcomes in the order in which they come; reading the next request waits for room. */
export async function* runBatch(
  runOne: RunOne,
  requests: Iterable<ShoalRequest> | AsyncIterable<ShoalRequest>,
  options: BatchOptions,
): AsyncGenerator<BatchOutcome, void, undefined> {
  const concurrency = checkConcurrency(options.concurrency ?? 64);
  const left = new AbortController();
  const signal = AbortSignal.any([left.signal, ...(options.signal === undefined ? [] : [options.signal])]);
  // Every request that runs listens; their number is bounded.
  setMaxListeners(0, signal);

  const source = new RequestSource(requests);
  let running = 0;
  let reading = false;
  const progress = { submitted: 0, completed: 0, failed: 0, tokens: 0 };
  let total = Array.isArray(requests) ? requests.length : undefined;
  const report = (): void => options.onProgress?.({ ...progress, ...(total === undefined ? {} : { total }) });
  let ended = false;

  const inbox = new Inbox<Step>();
  const tell = (work: Promise<Step>): void => {
    const told = (step: Step): void => inbox.put(step);
    work.then(told, (thrown: unknown) => told({ thrown }));
  };

  const run = async (request: ShoalRequest, index: number): Promise<Step> => {
    let id: string | undefined;
    const head = () => ({ index, request, ...(id === undefined ? {} : { id }) });
    try {
      const result = await runOne(request, signal, {
        accepted: (accepted) => {
          id = accepted;
        },
        tokens: (count) => {
          progress.tokens += count;
          report();
        },
      });
      progress.completed += 1;
      return { outcome: { ...head(), result } };
    } catch (error) {
      if (!(error instanceof ShoalError)) throw error;
      progress.failed += 1;
      return { outcome: { ...head(), error } };
    }
  };

  try {
    for (;;) {
      if (!ended && !reading && running < concurrency) {
        reading = true;
        tell(source.next().then((arrival) => ({ arrival })));
      }
      if (running === 0 && !reading) return;
      const step = await inbox.take(signal);
      if ('thrown' in step) throw step.thrown;
      if ('outcome' in step) {
        running -= 1;
        report();
        yield step.outcome;
        continue;
      }
      reading = false;
      if (step.arrival.done) {
        ended = true;
        total = progress.submitted;
      } else {
        running += 1;
        tell(run(step.arrival.value, progress.submitted));
        progress.submitted += 1;
      }
      report();
    }
  } finally {
    left.abort();
    await source.close();
  }
}

function checkConcurrency(concurrency: number): number {
  if (Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 1024) return concurrency;
  const message = 'concurrency must be a whole number from 1 to 1024';
  throw new ShoalError('invalid_request_error', message, { param: 'concurrency' });
}
