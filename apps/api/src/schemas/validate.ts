import { ShoalError } from '@shoal/protocol';
import type { z } from 'zod';

/** Parses what a caller sent; throws `invalid_request_error` that names the field and never repeats its value. */
export function validate<T>(schema: z.ZodType<T, unknown>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error.issues);
}

/** What one validation fault says, whichever library shape carries it. */
export interface Fault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** The error for the first fault of a body. */
export function invalidRequest(faults: readonly Fault[]): ShoalError {
  const fault = faults[0] ?? { path: [], message: 'the request is malformed' };
  const param = fault.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
  if (param === '') return new ShoalError('invalid_request_error', fault.message);
  return new ShoalError('invalid_request_error', `${param}: ${fault.message}`, { param });
}
