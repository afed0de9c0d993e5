/** What a failed call says: the API's own words where there are some. */
export class CallFailed extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Calls the API that served this page. Throws {@link CallFailed} for anything but success. */
export async function call(
  path: string,
  options: { key: string; body?: object; signal?: AbortSignal },
): Promise<Response> {
  const { key, body, signal } = options;
  const headers: Record<string, string> = {
    ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
    // Fifty answers from a cache would show no batch.
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'cache-control': 'no-store' }),
  };
  const response = await fetch(path, {
    headers,
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (response.ok) return response;
  throw new CallFailed(response.status, await messageOf(response));
}

async function messageOf(response: Response): Promise<string> {
  try {
    const { error } = (await response.json()) as { error: { message: string } };
    return error.message;
  } catch {
    return `the server answered ${response.status}`;
  }
}

/** The JSON of each server-sent event, up to `[DONE]` or the end. */
export async function* eventsOf<Event>(response: Response): AsyncGenerator<Event, void, undefined> {
  if (response.body === null) return;
  const decoder = new TextDecoder();
  let buffered = '';
  for await (const bytes of chunksOf(response.body)) {
    const events = (buffered + decoder.decode(bytes, { stream: true })).split('\n\n');
    buffered = events.pop() ?? '';
    for (const event of events) {
      // Comments keep the connection alive.
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data === '[DONE]') return;
      if (data !== undefined) yield JSON.parse(data) as Event;
    }
  }
}

/** Streams are not iterable in every browser. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    await reader.cancel().catch(() => {});
  }
}
