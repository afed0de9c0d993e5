import fastify from 'fastify';
import { expect, it } from 'vitest';
import { EventStream } from './event-stream.ts';

it('refuses what is told after its end, and harms nobody', async () => {
  const app = fastify();
  const late: unknown[] = [];
  app.get('/', async (_request, reply) => {
    const events = new EventStream(reply, { keepAliveMs: 60_000, slowReaderMs: 60_000 });
    await events.send('first');
    events.end();
    // As one of several jobs does whose neighbour has failed meanwhile.
    late.push(await events.send('late').catch((error: unknown) => error));
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const text = await (await fetch(url)).text();
  await app.close();
  expect(text).toBe('data: first\n\n');
  expect(late).toEqual([expect.objectContaining({ code: 'cancelled' })]);
});
