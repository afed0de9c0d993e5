import { randomUUID } from 'node:crypto';
import type { ErrorCode } from '@shoal/protocol';
import { admitClaim } from './admit-claim.ts';
import { CancelListener } from './cancel-listener.ts';
import { connector } from './connection.ts';
import type { ClaimedJob, Consumer, ConsumerFact } from './consumer.ts';
import { type ConsumerOptions, type ConsumerSettings, consumerSettings } from './consumer-options.ts';
import { refuseEviction } from './eviction.ts';
import { HeldJobs, within } from './held-jobs.ts';
import { type ModelKeys, modelKeys } from './keys.ts';
import { MarkerListener } from './marker-listener.ts';
import { mergeLog } from './merge-log.ts';
import { parseJson } from './parse-json.ts';
import { Quarantine } from './quarantine.ts';
import { QueueWatch, workerLost } from './queue-watch.ts';
import type { RedisClient } from './redis-address.ts';
import { asksForJobs, type ClaimReply, type ClaimRequest, type End, type RawClaim } from './step-codec.ts';
import { type ClaimSource, StepWriter } from './step-writer.ts';
import { traceContextOf } from './trace-context.ts';
import { WaitingClaim } from './waiting-claim.ts';

const LATER_MS = 1_000;
const LONGEST_LOOK_INTERVAL_MS = 1_000;
const FEWEST_ENDS_PER_STEP = 32;
const LONGEST_LEAVE_MS = 2_000;
/** Jobs that a call brings at once: so many are late when whoever was called is frozen. More are asked for. */
const MOST_PER_CALL = 4;

/**
 * The {@link Consumer}: one script finishes what is done, writes tokens and claims up to the free slots, all by
 * BullMQ's own script texts. It asks for jobs when it knows that some may wait: at the start, together with every end
 * while the last claim was filled, and when BullMQ's marker calls; the first of those are claimed by the call itself.
 */
export function openConsumer(options: ConsumerOptions): Consumer {
  return new BulkConsumer(consumerSettings(options, `worker-${randomUUID()}`));
}

class BulkConsumer implements Consumer, ClaimSource {
  readonly #settings: ConsumerSettings;
  readonly #keys: ModelKeys;
  readonly #commands: RedisClient;
  readonly #writer: StepWriter;
  readonly #cancels: CancelListener;
  readonly #marker: MarkerListener;
  readonly #watch: QueueWatch;
  /** While suspects wait for this worker to hold nothing. */
  readonly #quarantine: Quarantine;
  readonly #jobs = new HeldJobs();
  #capacity: number;
  #running = false;
  /** Jobs may be waiting. */
  #hungry = false;
  /** Held jobs are suspects, and run apart. */
  #apart = false;
  /** Jobs that are turned away, claims asked for, and ends that are written, but not settled yet. */
  #turningAway = 0;
  #asked = 0;
  /** The claim that a call will answer. */
  #waiting: WaitingClaim | undefined;
  /** Nothing was to be had ahead of a free slot when it was last asked for, and no job has ended since. */
  #noneAhead = false;
  #ends = 0;
  #steps = 0;
  #unanswered: ClaimRequest[] = [];
  #onAnswered: () => void = () => {};
  #limitTimer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor(settings: ConsumerSettings) {
    this.#settings = settings;
    this.#capacity = settings.capacity;
    this.#keys = modelKeys(settings.prefix, settings.model);
    const connect = settings.connect ?? connector(settings.redisUrl);
    this.#commands = connect('commands');
    this.#writer = new StepWriter({
      redis: this.#commands,
      keys: this.#keys,
      resultTtlS: settings.resultTtlS,
      repliesMax: settings.repliesMax,
      emitIntervalMs: settings.emitIntervalMs,
      restMs: settings.restMs,
      lookIntervalMs: Math.min(LONGEST_LOOK_INTERVAL_MS, settings.lockDurationMs / 4),
      endsPerStep: Math.max(FEWEST_ENDS_PER_STEP, Math.ceil(settings.capacity / 2)),
      renewLocks: settings.alive,
      claims: this,
      onLost: (claim) => this.#jobs.lose(claim),
      onCancelled: (id) => this.#jobs.cancel(id),
      onEmit: (emit) => this.#jobs.tell({ type: 'emit', ...emit }),
      onError: (message) => this.#complain(message),
    });
    this.#watch = new QueueWatch({
      redis: this.#commands,
      keys: this.#keys,
      settings,
      onRecovered: (jobIds) => this.#jobs.tell({ type: 'recovered', jobIds }),
      onGivenUp: (jobId) => this.#jobs.tell({ type: 'finished', jobId, outcome: 'failed', code: 'worker_lost' }),
      onError: (message) => this.#complain(message),
    });
    this.#quarantine = new Quarantine({
      redis: this.#commands,
      keys: this.#keys,
      worker: settings.worker,
      onTaken: () => this.#fillAgain(),
    });
    this.#cancels = new CancelListener(connect('subscriber'), this.#keys, (id) => this.#jobs.cancel(id));
    this.#marker = new MarkerListener({
      blocking: connect('calls', this.#keys.workerClient(settings.worker)),
      commands: this.#commands,
      keys: this.#keys,
      canTake: () => this.#canTake && this.#free() > 0,
      prepare: () => this.#prepareClaim(),
      onCall: () => this.#ask(),
    });
  }

  get held(): number {
    return this.#jobs.size;
  }

  observe(listener: (fact: ConsumerFact) => void): () => void {
    return this.#jobs.observe(listener);
  }

  start(handle: (job: ClaimedJob) => void): void {
    this.#jobs.handle = handle;
    this.#running = true;
    this.#watch.start();
    refuseEviction(this.#commands).catch((error: Error) => this.#complain(error.message));
    this.#ask();
  }

  pause(): void {
    this.#running = false;
    void this.#waiting?.takeBack();
  }

  resize(capacity: number): void {
    this.#capacity = capacity;
    this.#ask();
  }

  close({ timeoutMs }: { timeoutMs: number }): Promise<void> {
    this.#closing ??= this.#close(timeoutMs);
    return this.#closing;
  }

  get eager(): boolean {
    return this.#unanswered.length > 0 || (this.#mayAsk && (this.#free() > 0 || this.#ahead() > 0));
  }

  request(ends: number): ClaimRequest {
    const { lockDurationMs: lockMs, worker } = this.#settings;
    this.#ends += ends;
    if (ends > 0) this.#noneAhead = false;
    const held = this.#occupied() + this.#asked;
    const again = this.#unanswered.shift();
    if (again !== undefined) return { ...again, held };
    const wanted = this.#mayAsk ? Math.max(0, this.#free()) : 0;
    const ahead = this.#mayAsk ? this.#ahead() : 0;
    this.#asked += wanted + ahead;
    this.#steps += 1;
    // Without a name nobody is entered among the idle, for whom others would leave jobs.
    return { stepId: `${worker}:${this.#steps}`, wanted, ahead, held, lockMs, worker: this.#running ? worker : '' };
  }

  take(request: ClaimRequest, ends: number, reply: ClaimReply): void {
    this.#ends -= ends;
    if (!asksForJobs(request)) return;
    this.#asked -= request.wanted + request.ahead;
    this.#noneAhead = reply.claims.length < request.wanted + request.ahead;
    if (reply.apart) this.#apart = true;
    if (reply.mustEmpty) this.#quarantine.begin();
    // Whoever wanted none but ahead of a slot, and got none, knows no more than before.
    if (request.wanted > 0) this.#hungry = reply.mustEmpty || reply.apart || reply.claims.length >= request.wanted;
    for (const claim of reply.claims) this.#begin(claim);
    this.#tellAnswered();
    // The choices of few jobs may fill it: then a call for one more would be lost on it.
    this.#hungry ||= this.#free() + (this.#waiting?.wanted ?? 0) <= 0;
    if (this.#hungry) return;
    if (reply.limitedMs > 0) this.#limitTimer = setTimeout(() => this.#ask(), reply.limitedMs);
    else this.#marker.listen(reply.nextDelayedMs);
  }

  failed(request: ClaimRequest, ends: number): void {
    this.#ends -= ends;
    if (asksForJobs(request)) this.#unanswered.push(request);
  }

  get #canTake(): boolean {
    if (!this.#running || !this.#settings.alive()) return false;
    return !((this.#apart || this.#quarantine.on) && this.#occupied() > 0);
  }

  get #mayAsk(): boolean {
    return this.#hungry && this.#canTake;
  }

  /** Slots in use once the ends under way are written. */
  #occupied(): number {
    return this.#jobs.size + this.#turningAway - this.#ends;
  }

  /** A claim does not know how many choices its jobs have; the next one makes up for it. */
  #free(): number {
    const coming = this.#asked + (this.#waiting?.wanted ?? 0);
    return this.#capacity - this.#occupied() - this.#jobs.extraChoices - coming;
  }

  /** Jobs that may be asked for ahead of the next free slots, besides those for slots that are free. */
  #ahead(): number {
    if (this.#noneAhead) return 0;
    const { prefetch } = this.#settings;
    return Math.max(0, Math.min(prefetch, this.#free() + prefetch));
  }

  /** By a step, which brings all that the claim behind the next call would have brought, and knows what is held. */
  #ask(): void {
    void this.#waiting?.takeBack();
    this.#hungry = true;
    this.#noneAhead = false;
    this.#writer.schedule();
  }

  /** For the next call; undefined while there is no room for a job. */
  #prepareClaim(): WaitingClaim | undefined {
    const free = this.#free();
    if (!this.#canTake || free <= 0) return undefined;
    const { lockDurationMs: lockMs, worker } = this.#settings;
    this.#steps += 1;
    this.#waiting = new WaitingClaim({
      keys: this.#keys,
      commands: this.#commands,
      stepId: `${worker}:${this.#steps}`,
      worker,
      lockMs,
      wanted: Math.min(MOST_PER_CALL, free),
      free,
      onSettled: (claims) => this.#called(claims),
    });
    return this.#waiting;
  }

  /** Much may have changed since the claim was sent. */
  #called(claims: readonly RawClaim[]): void {
    this.#waiting = undefined;
    const canTake = this.#canTake;
    for (const claim of claims) {
      if (canTake) this.#begin(claim);
      else this.#turnAway({ ...claim, replyTo: '' }, { kind: 'handed-back' });
    }
    this.#tellAnswered();
  }

  #tellAnswered(): void {
    if (this.#asked + this.#turningAway === 0 && this.#waiting === undefined) this.#onAnswered();
  }

  #begin(raw: RawClaim): void {
    const { id, token, fields } = raw;
    const queuedAt = Number(fields.get('timestamp') ?? 0);
    const data = parseJson(fields.get('data') ?? '');
    // Redis's clock, by which it was claimed: this machine's may be wrong, and deadlines do not depend on it.
    const now = Number(fields.get('processedOn') ?? Date.now());
    const admission = admitClaim(data, queuedAt, now, this.#settings.maxQueueWaitMs);
    if (admission.kind === 'later') {
      this.#turnAway({ id, token, replyTo: '' }, { kind: 'later', delayMs: LATER_MS });
      return;
    }
    const replyTo = admission.kind === 'fail' ? admission.replyTo : (admission.request.replyTo ?? '');
    const deferred = fields.get('defa');
    const error =
      admission.kind === 'fail' ? admission.error : deferred === undefined ? undefined : workerLost(deferred);
    if (error !== undefined) {
      this.#turnAway({ id, token, replyTo }, { kind: 'failed', value: JSON.stringify(error) }, error.code);
    } else if (admission.kind === 'run') {
      this.#jobs.hold({
        writer: this.#writer,
        claim: { id, token, replyTo, quiet: admission.request.quiet ?? replyTo === '' },
        request: admission.request,
        bullPriority: Number(fields.get('priority') ?? 0),
        queuedAt,
        now,
        attempts: Number(fields.get('ats') ?? 1),
        logged: mergeLog(raw.log),
        traceContext: traceContextOf(fields.get('opts')),
        predictedMs: Number(fields.get('shoal:predicted') ?? -1),
        released: () => this.#released(),
      });
      // Whoever held it before died with the call.
      if (fields.has('shoal:cancel')) this.#jobs.cancel(id);
    }
  }

  /** `code`: why, of one that fails. */
  #turnAway(claim: { id: string; token: string; replyTo: string }, end: End, code?: ErrorCode): void {
    this.#turningAway += 1;
    this.#writer.end(this.#writer.open(claim, 0), end, () => {
      this.#turningAway -= 1;
      this.#tellAnswered();
      if (end.kind === 'failed') this.#jobs.tell({ type: 'finished', jobId: claim.id, outcome: 'failed', code });
      this.#released();
    });
  }

  /** Ends that are being settled no longer count as held, and are still among `#ends`: what is held is asked itself. */
  #released(): void {
    if (this.#jobs.size + this.#turningAway > 0 || !(this.#apart || this.#quarantine.on)) return;
    this.#apart = false;
    this.#fillAgain();
  }

  #fillAgain(): void {
    this.#quarantine.end();
    this.#ask();
  }

  #complain(message: string): void {
    if (this.#closing === undefined) this.#jobs.tell({ type: 'error', message });
  }

  async #close(timeoutMs: number): Promise<void> {
    this.pause();
    this.#watch.stop();
    clearTimeout(this.#limitTimer);
    this.#quarantine.end();
    await within(LONGEST_LEAVE_MS, this.#leave());
    await this.#jobs.drain(timeoutMs);
    this.#writer.close();
    this.#cancels.close();
    this.#commands.disconnect();
  }

  /** Before jobs are handed back: claims under way bring the last of them, and no call for others may end here. */
  async #leave(): Promise<void> {
    const answered = new Promise<void>((resolve) => {
      this.#onAnswered = resolve;
    });
    this.#tellAnswered();
    const forgotten = this.#commands.zrem(`${this.#keys.own}idle`, this.#settings.worker);
    await Promise.all([answered, forgotten, this.#marker.close()]);
  }
}
