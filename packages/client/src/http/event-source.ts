import { ShoalError } from '@shoal/protocol';
import { createParser } from 'eventsource-parser';

/** Most characters of one event that are kept until its end is seen. */
const LARGEST_EVENT = 16 * 1024 * 1024;

/**
 * The `data` of each server-sent event. Rejects with `unavailable` after `silenceMs` without a byte (keep-alive
 * comments count) and for an event without end.
 */
export async function* readEvents(response: Response, silenceMs: number): AsyncGenerator<string, void, undefined> {
  if (response.body === null) return;
  const complete: string[] = [];
  let unfinished = 0;
  const parser = createParser({
    onEvent: ({ data }) => {
      unfinished = 0;
      complete.push(data);
    },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await soon(reader.read(), silenceMs);
      if (done) return;
      unfinished += value.length;
      parser.feed(value);
      if (complete.length === 0 && unfinished > LARGEST_EVENT)
        throw broken(`an event is over ${LARGEST_EVENT} characters`);
      yield* complete.splice(0);
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function soon<T>(promise: Promise<T>, limitMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(broken(`nothing came for ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => {});
  }
}

function broken(what: string): ShoalError {
  return new ShoalError('unavailable', `the stream of events broke: ${what}`);
}
