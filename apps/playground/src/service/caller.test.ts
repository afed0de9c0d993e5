import { expect, it } from 'vitest';
import { eventsOf } from './caller.ts';

/** A response whose body comes in these pieces. */
function inPieces(...pieces: string[]): Response {
  const bytes = pieces.map((piece) => new TextEncoder().encode(piece));
  return new Response(
    new ReadableStream({
      start: (body) => {
        for (const piece of bytes) body.enqueue(piece);
        body.close();
      },
    }),
  );
}

async function collect(response: Response): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const event of eventsOf(response)) events.push(event);
  return events;
}

it('reads events however they are cut, without comments, up to the end', async () => {
  const text = ': keep-alive\n\ndata: {"a":1}\n\nid: 7\ndata: {"b":"ö"}\n\ndata: [DONE]\n\ndata: {"c":3}\n\n';
  expect(await collect(inPieces(text))).toEqual([{ a: 1 }, { b: 'ö' }]);
  expect(await collect(inPieces(...(text.match(/.{1,3}/gs) ?? [])))).toEqual([{ a: 1 }, { b: 'ö' }]);
});

it('leaves out an event that was cut off', async () => {
  expect(await collect(inPieces('data: {"a":1}\n\ndata: {"b"'))).toEqual([{ a: 1 }]);
});
