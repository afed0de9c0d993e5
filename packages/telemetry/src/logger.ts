import { hostname } from 'node:os';
import { trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';

export type { Logger } from 'pino';

export interface LoggerOptions {
  /** The process: `api`, `worker`, `board`. */
  name: string;
  /** Least severe level that is written. */
  level: string;
  /** On every line: the worker's id, say. */
  fields?: Readonly<Record<string, string>>;
  /** Where lines go; standard output by default. */
  destination?: DestinationStream;
  /** Coloured one-liners for people in place of JSON; by default when standard output is a terminal. */
  pretty?: boolean;
}

/**
 * Fields that may hold what users wrote, what the model answered, or a credential. None is logged on purpose; should
 * one slip into a logged object, at the top or one level down, it is replaced.
 */
const PRIVATE_FIELDS = [
  ...['prompt', 'messages', 'chatTemplateKwargs', 'promptTokenIds', 'tokenIds', 'text', 'content', 'stop'],
  ...['authorization', 'apiKey', 'password', 'secret', 'cookie', 'body', 'redisUrl'],
] as const;

const REDACTED = '[redacted]';

/** A structured logger: JSON lines for machines, coloured lines in a terminal, private fields replaced. */
export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    name: options.name,
    level: options.level,
    base: { pid: process.pid, hostname: hostname(), ...options.fields },
    mixin: traceFields,
    redact: {
      paths: [...PRIVATE_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`])],
      censor: REDACTED,
    },
  };
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  const pretty = options.pretty ?? (options.destination === undefined && process.stdout.isTTY === true);
  return pino(settings, pretty ? prettily(destination) : destination);
}

/** The trace that a line belongs to: what is logged while a request is worked on is found beside its spans. */
function traceFields(): { traceId?: string } {
  const active = trace.getActiveSpan()?.spanContext();
  return active === undefined ? {} : { traceId: active.traceId };
}

/**
 * SIGUSR2 makes a process talkative (`debug`) and, the second time, as it was: the log level can be had without a
 * restart, also while Redis is away.
 */
export function toggleLevelOnSignal(logger: Logger): void {
  let before: string | undefined;
  process.on('SIGUSR2', () => {
    const level = before ?? 'debug';
    before = before === undefined ? logger.level : undefined;
    logger.level = level;
    logger.info({ logLevel: level }, 'log level');
  });
}

/** Rewrites each line on its way; synchronous, so that the last words of a process are not lost. */
function prettily(destination: DestinationStream): DestinationStream {
  const format = prettyFactory({ colorize: process.stdout.hasColors?.() ?? false, ignore: 'pid,hostname' });
  return { write: (line) => destination.write(format(line)) };
}
