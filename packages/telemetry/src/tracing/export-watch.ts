import { type DiagLogger, DiagLogLevel, diag } from '@opentelemetry/api';
import { type ExportResult, ExportResultCode, setGlobalErrorHandler } from '@opentelemetry/core';
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import type { Logger } from '../logger.ts';

/** A collector that comes and goes, or a fault that every span repeats, is told no more often. */
const QUIET_MS = 60_000;
const LONGEST_REASON = 200;

export interface ExportWatchOptions {
  logger: Pick<Logger, 'info' | 'warn'>;
  /** Where the spans go; may hold credentials. */
  url: string;
  headers: Readonly<Record<string, string>>;
  /** Milliseconds of a monotonic clock. */
  now: () => number;
}

/**
 * Says when spans do not arrive, why, and when they do again: a trace that is missing tells nobody. Neither the address'
 * credentials nor the headers are in what it says, nor what the collector answered beyond its status.
 */
export class ExportWatch {
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #host: string;
  readonly #secrets: readonly string[];
  readonly #now: () => number;
  /** What was said of a failure, until spans arrive. */
  #told: string | undefined;
  #failureQuietUntil = Number.NEGATIVE_INFINITY;
  #faultQuietUntil = Number.NEGATIVE_INFINITY;

  constructor({ logger, url, headers, now }: ExportWatchOptions) {
    const { host, username, password } = new URL(url);
    this.#logger = logger;
    this.#host = host;
    this.#secrets = [...Object.values(headers), username, password].flatMap(spellings);
    this.#now = now;
  }

  /** Hears everything that the SDK complains of in this process. */
  install(): void {
    const heed = (...words: unknown[]): void => this.#complain(words);
    const ignore = (): void => {};
    const listener: DiagLogger = { error: heed, warn: heed, info: ignore, debug: ignore, verbose: ignore };
    diag.setLogger(listener, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    setGlobalErrorHandler((error) => this.#failed(error));
  }

  /** The same exporter, listened to: also at the end of the process, where nobody else hears of a failure. */
  over(exporter: SpanExporter): SpanExporter {
    return {
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          this.#exported(result);
          done(result);
        }),
      shutdown: () => exporter.shutdown(),
      forceFlush: async () => await exporter.forceFlush?.(),
    };
  }

  #exported({ code, error }: ExportResult): void {
    if (code !== ExportResultCode.SUCCESS) this.#failed(error);
    else if (this.#told !== undefined) this.#recovered();
  }

  #recovered(): void {
    this.#told = undefined;
    this.#logger.info(`traces arrive at ${this.#host} again`);
  }

  #failed(error: unknown): void {
    const reason = reasonOf(error) ?? `took no spans: ${this.#discreet(messageOf(error))}`;
    if (reason === this.#told || this.#now() < this.#failureQuietUntil) return;
    this.#told = reason;
    this.#failureQuietUntil = this.#now() + QUIET_MS;
    this.#logger.warn(
      `traces are lost: the collector at ${this.#host} ${reason}; see OTEL_EXPORTER_OTLP_ENDPOINT and _HEADERS`,
    );
  }

  #complain(words: readonly unknown[]): void {
    if (this.#now() < this.#faultQuietUntil) return;
    this.#faultQuietUntil = this.#now() + QUIET_MS;
    const text = words.filter((word) => typeof word === 'string').join(' ');
    this.#logger.warn(`tracing: ${this.#discreet(text)}`);
  }

  #discreet(text: string): string {
    const line = (text.split('\n')[0] ?? '').replace(/\/\/[^/@\s]*@/g, '//');
    return this.#secrets.reduce((said, secret) => said.replaceAll(secret, '…'), line).slice(0, LONGEST_REASON);
  }
}

/** What is known of a failure by its code, as predicate of "the collector"; undefined when only its text tells. */
function reasonOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code === 'number') return `answers ${code}`;
  if (typeof code === 'string') return `cannot be reached (${code})`;
  if (/time(d )?out/i.test(messageOf(error))) return 'does not answer in time';
  // The SDK keeps to itself which of these it was.
  return messageOf(error).includes('retryable status') ? 'answers 429, 502, 503 or 504' : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A secret as it is, as it stands in a URL or a setting, and without the scheme before it. */
function spellings(secret: string): string[] {
  const words = [secret, decoded(secret), ...decoded(secret).split(' ').slice(1)];
  return words.flatMap((word) => (word === '' ? [] : [word, encodeURIComponent(word)]));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
