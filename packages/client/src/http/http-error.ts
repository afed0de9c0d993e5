import { type ErrorBody, type ErrorCode, isErrorCode, ShoalError } from '@shoal/protocol';
import { z } from 'zod';

/** OpenAI's error object. A proxy on the way may have sent something else. */
export const ErrorObject: z.ZodType<ErrorBody, unknown> = z
  .object({ message: z.string(), code: z.string().nullish(), param: z.string().nullish() })
  .transform(({ message, code, param }) => ({
    code: isErrorCode(code) ? code : 'unavailable',
    message,
    ...(typeof param === 'string' ? { param } : {}),
  }));

const ErrorAnswer = z.object({
  error: z.object({ message: z.string(), code: z.string().nullish(), param: z.string().nullish() }),
});

/** The error that a response tells, by its body where that is Shoal's, else by its status. */
export async function errorOfResponse(response: Response): Promise<ShoalError> {
  const body = ErrorAnswer.safeParse(await response.json().catch(() => undefined));
  const retryAfterMs = retryAfterOf(response.headers);
  const told = body.success ? body.data.error : undefined;
  return new ShoalError(
    isErrorCode(told?.code) ? told.code : codeOf(response.status),
    told?.message ?? `something on the way to the API answered ${response.status}; check the URL and the proxies`,
    {
      ...(typeof told?.param === 'string' ? { param: told.param } : {}),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  );
}

function codeOf(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'invalid_api_key';
  if (status === 413) return 'payload_too_large';
  if (status === 429) return 'rate_limit_exceeded';
  return status >= 500 ? 'unavailable' : 'invalid_request_error';
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date; in milliseconds, not negative. */
export function retryAfterOf(headers: Headers, now: number = Date.now()): number | undefined {
  const ms = Number.parseFloat(headers.get('retry-after-ms') ?? '');
  if (ms >= 0) return ms;
  const text = headers.get('retry-after') ?? '';
  const delay = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(delay) ? undefined : Math.max(0, delay);
}

/** The connection failed, whatever the reason. */
export function unreachable(base: string, cause: unknown): ShoalError {
  // Credentials in the URL stay out of the message.
  const { origin } = new URL(base);
  return new ShoalError('unavailable', `${origin} does not answer; check that the API runs there`, { cause });
}
