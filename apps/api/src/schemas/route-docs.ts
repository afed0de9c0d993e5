import { ERROR_TABLE, type ErrorCode } from '@shoal/protocol';
import type { z } from 'zod';
import { ErrorResponse } from './responses.ts';

/** The errors that a route may answer, by status, as /docs shows them. */
export function errorResponses(...codes: readonly ErrorCode[]): Record<string, z.ZodType> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERROR_TABLE[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const described = [...byStatus].map(([status, names]) => [status, ErrorResponse.describe(names.join(', '))]);
  return Object.fromEntries(described);
}

/** What a request that is answered while the caller waits may come to. */
export const GENERATION_ERRORS: Record<string, z.ZodType> = errorResponses(
  ...(['invalid_request_error', 'context_length_exceeded', 'invalid_api_key', 'model_not_found'] as const),
  ...(['payload_too_large', 'queue_full', 'rate_limit_exceeded', 'inference_error', 'worker_lost'] as const),
  ...(['unavailable', 'deadline_exceeded'] as const),
);
