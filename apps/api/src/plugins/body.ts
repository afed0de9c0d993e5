import { isAscii } from 'node:buffer';
import { ShoalError } from '@shoal/protocol';
import type { z } from 'zod';
import type { App } from '../app.ts';
import { validate } from '../schemas/validate.ts';

/**
 * Reads bodies as strict UTF-8 JSON, and checks them by the zod schema of their route. (What is answered is described by
 * schemas too, which tests check; here it is only written.)
 */
export function installBody(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      if (request.headers['content-encoding'] !== undefined) throw malformed('send the body without content-encoding');
      done(null, parseJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));
  app.setValidatorCompiler<z.ZodType>(({ schema }) => (data) => {
    try {
      return { value: validate(schema, data) };
    } catch (error) {
      return { error: error as Error };
    }
  });
}

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true });

function parseJsonBody(body: Buffer): unknown {
  let text: string;
  try {
    // Most bodies are ASCII, which needs no decoder.
    text = isAscii(body) ? body.toString('latin1') : STRICT_UTF8.decode(body);
  } catch {
    throw malformed('the body is not valid UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('the body is not valid JSON');
  }
}

function malformed(message: string): ShoalError {
  return new ShoalError('invalid_request_error', message);
}
