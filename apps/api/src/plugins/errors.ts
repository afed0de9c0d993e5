import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { ERROR_TABLE, type ErrorCode, ShoalError } from '@shoal/protocol';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { App } from '../app.ts';

/** OpenAI's error body. */
export interface ErrorJson {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** The body for anything that was thrown. What is not a `ShoalError` tells nothing of itself. */
export function errorJson(error: unknown): ErrorJson {
  const { code, message, param } = asShoalError(error);
  return { error: { message, type: ERROR_TABLE[code].type, param: param ?? null, code } };
}

/** Answers every failure from the one table, whoever found it: a route, fastify, or Node's HTTP parser. */
export function installErrors(app: App): void {
  app.setErrorHandler<FastifyError | ShoalError | Error>((error, request, reply) => {
    const answer = asShoalError(error);
    if (answer.status >= 500)
      request.log.warn({ requestId: request.id, code: answer.code, err: error }, 'request failed');
    sendError(reply, answer);
  });
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const message = `there is no ${request.method} route of this path; see /docs`;
    reply.code(404).send({ error: { message, type: 'not_found_error', param: null, code: null } });
  });
}

/** Answers with an error of the table, with the headers that clients obey. */
export function sendError(reply: FastifyReply, error: ShoalError): void {
  if (error.retryAfterMs !== undefined) {
    const retryAfterMs = Math.min(Math.ceil(error.retryAfterMs), 30_000);
    reply.header('retry-after', Math.max(1, Math.ceil(retryAfterMs / 1000)));
    reply.header('retry-after-ms', retryAfterMs);
  }
  if (!error.retryable) reply.header('x-should-retry', 'false');
  reply.code(error.status).send(errorJson(error));
}

/** Whatever was thrown, as an error of the table. */
export function asShoalError(error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  const { code, statusCode } = error as Partial<FastifyError>;
  const known = code === undefined ? undefined : FASTIFY_ERRORS[code];
  if (known !== undefined) return new ShoalError(known[0], known[1]);
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new ShoalError('invalid_request_error', 'the request is malformed');
  }
  return new ShoalError(
    'inference_error',
    'something went wrong in the server; its log has the details under x-request-id',
  );
}

const FASTIFY_ERRORS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_BAD_URL: ['invalid_request_error', 'the path is not well-formed'],
  FST_ERR_CTP_BODY_TOO_LARGE: [
    'payload_too_large',
    'the body is too large; shorten the prompt, or raise MAX_PROMPT_BYTES',
  ],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'invalid_request_error',
    'send the body as JSON, with content-type: application/json',
  ],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    'invalid_request_error',
    'the body does not have the length that content-length announced',
  ],
};

/** Answers bytes that are not HTTP, in the same shape as everything else, and closes the connection. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, code, message] = CLIENT_ERRORS[error.code ?? ''] ?? NOT_HTTP;
  const body = JSON.stringify({ error: { message, type: ERROR_TABLE[code].type, param: null, code } });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

type ClientError = readonly [status: number, code: ErrorCode, message: string];

const NOT_HTTP: ClientError = [400, 'invalid_request_error', 'this is not a well-formed HTTP request'];

const CLIENT_ERRORS: Readonly<Record<string, ClientError>> = {
  HPE_HEADER_OVERFLOW: [431, 'invalid_request_error', 'the request headers are too large'],
  // Nothing of it was looked at, and it need not be its sender's fault: a request may meet the end of an idle connection,
  // and a server that stood still finds everything late.
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'unavailable', 'the request took too long to arrive; send it again'],
};
