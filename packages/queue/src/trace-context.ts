import { context, propagation } from '@opentelemetry/api';
import { z } from 'zod';
import { parseJson } from './parse-json.ts';

/** Longest carrier that is written to a job or read from one: W3C's `tracestate` and `baggage` have their bounds too. */
const LONGEST = 4_096;
/** BullMQ packs `opts.telemetry.metadata` under this name. */
const PackedOptions = z.looseObject({ tm: z.string().max(LONGEST).optional() });

/**
 * The active trace context as BullMQ's telemetry interface carries it in a job (`opts.telemetry.metadata`): W3C headers
 * as JSON. Empty where this process does not trace.
 */
export function activeTraceContext(): string {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  if (carrier['traceparent'] === undefined) return '';
  const metadata = JSON.stringify(carrier);
  return metadata.length > LONGEST ? JSON.stringify({ traceparent: carrier['traceparent'] }) : metadata;
}

/** The carrier that a job brought, whichever BullMQ client in whichever language put it there. */
export function traceContextOf(opts: string | undefined): string | undefined {
  // A job without one is not parsed: this runs at every claim.
  if (opts === undefined || !opts.includes('"tm":')) return undefined;
  return PackedOptions.safeParse(parseJson(opts)).data?.tm;
}
