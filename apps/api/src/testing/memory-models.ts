import {
  type GenerateRequest,
  type GenerateResult,
  isTerminal,
  type JobStatus,
  type ModelCard,
  type RequestEvent,
  ShoalError,
  type WorkerReport,
} from '@shoal/protocol';
import type {
  Accepted,
  ActivityEvent,
  Hearing,
  JobView,
  ListedJob,
  ListOptions,
  ListPlace,
  Producer,
  Replies,
  SubmitOptions,
} from '@shoal/queue';
import type { Models, ServedModel } from '../models.ts';

/** One job of a {@link MemoryModel}. */
export interface MemoryJob extends SubmitOptions {
  request: GenerateRequest;
  log: RequestEvent[];
}

/** What a model answers to a request; `undefined` leaves the job waiting for the test to tell what happens. */
export type Script = (request: GenerateRequest, id: string) => RequestEvent[] | undefined;

/** A queue and its worker in memory: what was submitted and cancelled can be read, what happens is scripted. */
export class MemoryModel implements ServedModel {
  readonly card: ModelCard;
  readonly workers = 1;
  readonly reports = async (): Promise<WorkerReport[]> => [];
  readonly producer: Producer;
  readonly replies: Replies;
  readonly activity: ServedModel['activity'] = { watch: (signal) => this.#watch(signal) };
  readonly jobs: Map<string, MemoryJob> = new Map();
  readonly cancelled: string[] = [];
  readonly withdrawn: string[] = [];
  /** Ears that are open now. */
  listening = 0;
  script: Script = () => answer('hello', ['hel', 'lo']);
  /** When set, every submission is refused with it. */
  refusal: ShoalError | undefined;
  /** What watchers are told, in order; then nothing more comes. */
  readonly happened: ActivityEvent[] = [];
  readonly #wake = new Set<() => void>();

  constructor(card: Partial<ModelCard> = {}) {
    this.card = { ...CARD, ...card };
    this.producer = {
      model: this.card.name,
      submit: async (request, options) => this.#submit(request, options),
      view: async (id) => this.#view(id),
      request: async (id) => this.jobs.get(id)?.request,
      list: async (options) => this.#list(options),
      cancel: async (id) => this.#cancel(id),
      withdraw: async (id) => this.#withdraw(id),
      depth: async () => ({ waiting: this.jobs.size, running: 0 }),
      inspect: async () => ({ paused: false, waiting: [this.jobs.size], suspects: 0, delayed: 0, running: 0 }),
      close: async () => {},
    };
    this.replies = {
      replyTo: 'memory',
      listen: (id, signal) => this.#hear(id, 0, signal),
      attach: (id, options) => this.#hear(id, options?.position ?? 0, options?.signal),
      close: async () => {},
    };
  }

  /** Lets an event of a job happen. */
  tell(id: string, ...events: RequestEvent[]): void {
    this.jobs.get(id)?.log.push(...events);
    this.wake();
  }

  /** Makes waiting readers look again. */
  wake(): void {
    for (const wake of [...this.#wake]) wake();
  }

  #submit(request: GenerateRequest, options: SubmitOptions): Accepted {
    if (this.refusal !== undefined) throw this.refusal;
    if (this.jobs.has(options.id)) return { again: true };
    this.jobs.set(options.id, { ...options, request, log: this.script(request, options.id) ?? [] });
    this.wake();
    return { position: 0 };
  }

  #cancel(id: string): 'cancelled' | 'finished' | 'unknown' {
    const job = this.jobs.get(id);
    if (job === undefined) return 'unknown';
    if (job.log.some(isTerminal)) return 'finished';
    this.cancelled.push(id);
    this.tell(id, { type: 'failed', error: { code: 'cancelled', message: 'the request was cancelled' } });
    return 'cancelled';
  }

  #withdraw(id: string): void {
    if (!this.jobs.has(id)) return;
    this.withdrawn.push(id);
    this.#cancel(id);
  }

  #view(id: string): JobView | undefined {
    const job = this.jobs.get(id);
    if (job === undefined) return undefined;
    const end = job.log.find(isTerminal);
    return {
      id,
      status: statusOf(job.log),
      queuedAt: 1000,
      attempts: job.log.length === 0 ? 0 : 1,
      ...(job.log.length === 0 ? { position: 0 } : {}),
      ...(job.request.tenant === undefined ? {} : { tenant: job.request.tenant }),
      ...(job.request.fingerprint === undefined ? {} : { fingerprint: job.request.fingerprint }),
      ...(end?.type === 'completed' ? { result: end.result, finishedAt: 2000 } : {}),
      ...(end?.type === 'failed' ? { error: end.error, finishedAt: 2000 } : {}),
    };
  }

  /** Entered one millisecond apart. */
  #list({ tenant, after, limit }: ListOptions): { jobs: ListedJob[]; more: boolean } {
    const listed = [...this.jobs.values()].flatMap((job, index) => {
      const view = job.listed === true && job.request.tenant === tenant ? this.#view(job.id) : undefined;
      return view === undefined ? [] : [{ at: 1000 + index, view }];
    });
    const behind = listed.reverse().filter(({ at }) => after === undefined || at < after.at || isNext(at, after));
    return { jobs: behind.slice(0, limit), more: behind.length > limit };
  }

  #hear(id: string, position: number, signal?: AbortSignal): Hearing {
    const closing = new AbortController();
    const close = (): void => closing.abort();
    if (signal?.aborted) close();
    signal?.addEventListener('abort', close);
    const events = this.#follow(id, position, closing.signal);
    return { close, [Symbol.asyncIterator]: () => events };
  }

  async *#follow(id: string, position: number, signal?: AbortSignal): AsyncGenerator<RequestEvent> {
    this.listening += 1;
    const wake = (): void => this.wake();
    signal?.addEventListener('abort', wake);
    try {
      for (let next = 0; signal?.aborted !== true; ) {
        const event = this.jobs.get(id)?.log[next];
        if (event === undefined) {
          await this.#untilWoken();
          continue;
        }
        next += 1;
        if (event.type === 'tokens' && event.position + event.tokenIds.length <= position) continue;
        yield event;
        if (isTerminal(event)) return;
      }
    } finally {
      signal?.removeEventListener('abort', wake);
      this.listening -= 1;
    }
  }

  async *#watch(signal?: AbortSignal): AsyncGenerator<ActivityEvent> {
    const wake = (): void => this.wake();
    signal?.addEventListener('abort', wake);
    this.listening += 1;
    try {
      for (let next = 0; signal?.aborted !== true; ) {
        const event = this.happened[next];
        if (event === undefined) await this.#untilWoken();
        else yield event;
        next += event === undefined ? 0 : 1;
      }
    } finally {
      signal?.removeEventListener('abort', wake);
      this.listening -= 1;
    }
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wake.delete(wake);
        resolve();
      };
      this.#wake.add(wake);
    });
  }
}

/** The models of a test; `away` makes Redis unreachable. */
export class MemoryModels implements Models {
  readonly served: readonly MemoryModel[];
  away = false;

  constructor(...served: MemoryModel[]) {
    this.served = served;
  }

  async find(name: string): Promise<ServedModel | undefined> {
    await this.ping();
    return this.served.find(({ card }) => card.name === name);
  }

  async list(): Promise<ServedModel[]> {
    await this.ping();
    return [...this.served];
  }

  async ping(): Promise<void> {
    if (this.away) throw new ShoalError('unavailable', 'Redis does not answer', { retryAfterMs: 1000 });
  }

  async close(): Promise<void> {}
}

const CARD: ModelCard = {
  name: 'minnow',
  maxModelLen: 512,
  vocabSize: 261,
  chat: true,
  revision: 'abc123',
  dtype: 'fp32',
  executionProvider: 'cpu',
  announcedAt: 1_700_000_000_000,
};

/** The events of a job that ends well: its text in pieces of one token each, then the result. */
export function answer(text: string, pieces: readonly string[], result: Partial<GenerateResult> = {}): RequestEvent[] {
  const tokens = pieces.map(
    (piece, index): RequestEvent => ({
      type: 'tokens',
      position: index,
      tokenIds: [100 + index],
      text: piece,
    }),
  );
  return [
    ...tokens,
    { type: 'completed', result: { ...RESULT, text, tokenIds: pieces.map((_, i) => 100 + i), ...result } },
  ];
}

const RESULT: GenerateResult = {
  v: 1,
  text: '',
  tokenIds: [],
  finishReason: 'stop',
  usage: { promptTokens: 3, completionTokens: 2 },
  seed: 7,
  timings: { queuedAt: 1000, claimedAt: 1010, startedAt: 1020, firstTokenAt: 1030, finishedAt: 1050 },
  ride: { worker: 'w1', batchId: 4, batchSize: 8 },
};

function statusOf(log: readonly RequestEvent[]): JobStatus {
  const end = log.find(isTerminal);
  if (end === undefined) return log.length === 0 ? 'queued' : 'running';
  if (end.type === 'completed') return 'completed';
  return end.error.code === 'cancelled' ? 'cancelled' : 'failed';
}

/** Jobs of the very time at which another model's page ended. */
function isNext(at: number, after: ListPlace): boolean {
  return at === after.at && after.id === undefined && after.shown !== true;
}
