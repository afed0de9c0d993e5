import { ShoalError } from '@shoal/protocol';
import type { z } from 'zod';

/** Parses what a caller sent; throws `invalid_request_error` that names the field and never repeats its value. */
export function validate<T>(schema: z.ZodType<T, unknown>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error.issues);
}

type Issue = Pick<z.core.$ZodIssue, 'path' | 'message'>;

/** The error for the first fault of a body. */
function invalidRequest(issues: readonly z.core.$ZodIssue[]): ShoalError {
  const [first] = issues;
  const { path, message } = first === undefined ? { path: [], message: 'the request is malformed' } : telling(first);
  const param = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  if (param === '') return new ShoalError('invalid_request_error', message);
  const name = param.replace(/^\./, '');
  return new ShoalError('invalid_request_error', `${name}: ${message}`, { param: name });
}

/** Where a whole body may have several forms: the fault inside the form that it resembles, if it resembles one. */
function telling(issue: z.core.$ZodIssue): Issue {
  if (issue.code !== 'invalid_union' || issue.path.length > 0) return issue;
  return issue.errors.flat().find(({ path }) => path.length > 0) ?? issue;
}
