import { ShoalError } from '@shoal/protocol';
import type { z } from 'zod';

/** Parses what a caller sent; throws `invalid_request_error` that names the field and never repeats its value. */
export function validate<T>(schema: z.ZodType<T, unknown>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error.issues);
}

/** The error for the first fault of a body. */
function invalidRequest(issues: readonly z.core.$ZodIssue[]): ShoalError {
  const [first] = issues;
  const { path, message } = first ?? { path: [], message: 'the request is malformed' };
  const param = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  if (param === '') return new ShoalError('invalid_request_error', message);
  const name = param.replace(/^\./, '');
  return new ShoalError('invalid_request_error', `${name}: ${message}`, { param: name });
}
