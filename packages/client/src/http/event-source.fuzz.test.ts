import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readEvents } from './event-source.ts';

const FIXED = { seed: 20261122, numRuns: 300 };

/** Data as a server may send it: any text in one JSON line, comments and ids between. */
const stream = fc.array(
  fc.record({
    data: fc.string({ unit: 'binary', maxLength: 20 }).map((text) => JSON.stringify(text)),
    before: fc.constantFrom('', ': keep-alive\n\n', 'id: 7\n', 'event: tokens\n', 'retry: 10\n'),
    lineEnd: fc.constantFrom('\n', '\r\n'),
  }),
  { maxLength: 8 },
);

/** Hands out bytes in pieces of the given lengths, in turn: borders fall inside characters and line ends. */
function inPieces(bytes: Uint8Array, lengths: readonly number[]): Response {
  let at = 0;
  let turn = 0;
  return new Response(
    new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= bytes.length) return controller.close();
        const end = at + (lengths[turn++ % lengths.length] ?? 1);
        controller.enqueue(bytes.slice(at, end));
        at = end;
      },
    }),
  );
}

describe('reading server-sent events', () => {
  it('gives the same events, wherever the network cuts the bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        stream,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
        async (events, lengths) => {
          const text = events
            .map(({ data, before, lineEnd }) => `${before}data: ${data}\n\n`.replaceAll('\n', lineEnd))
            .join('');
          const read: string[] = [];
          for await (const data of readEvents(inPieces(Buffer.from(text), lengths), 10_000)) read.push(data);
          expect(read).toEqual(events.map(({ data }) => data));
        },
      ),
      FIXED,
    );
  });

  it('takes whatever bytes come without an exception other than its own', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const read: string[] = [];
        for await (const data of readEvents(inPieces(bytes, [3, 1, 7]), 10_000)) read.push(data);
        expect(read.every((data) => typeof data === 'string')).toBe(true);
      }),
      FIXED,
    );
  });
});
