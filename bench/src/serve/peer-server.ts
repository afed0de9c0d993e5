import { fastify } from 'fastify';
import { z } from 'zod';
import type { Work } from '../contestants/engine-load.ts';
import type { ModelRuns } from './contestant.ts';

const Body = z.object({ prompt: z.array(z.int()), max_tokens: z.int() });

/** What stands behind the route. */
export interface PeerEngine {
  /** Runs so far. */
  readonly counted: ModelRuns;
  /** One answer: its tokens as they come, or undefined for `whole`. */
  stream?(work: Work): AsyncIterable<number>;
  whole?(work: Work): Promise<readonly number[]>;
}

/** A route as one writes it around such a library: server-sent events where it streams, else one object. */
export async function servePeer(engine: PeerEngine): Promise<void> {
  const app = fastify({ logger: false });
  app.get('/runs', () => engine.counted);
  app.post('/v1/completions', async (request, reply) => {
    const { prompt, max_tokens: maxTokens } = Body.parse(request.body);
    const work = { prompt, maxTokens };
    if (engine.stream === undefined) {
      const tokenIds = (await engine.whole?.(work)) ?? [];
      return { token_ids: tokenIds, usage: { completion_tokens: tokenIds.length } };
    }
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
    let tokens = 0;
    for await (const token of engine.stream(work)) {
      tokens += 1;
      reply.raw.write(`data: ${JSON.stringify({ text: `w${token}` })}\n\n`);
    }
    reply.raw.end(`data: ${JSON.stringify({ usage: { completion_tokens: tokens } })}\n\n`);
    return reply;
  });
  await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
  process.on('SIGTERM', () => process.exit(0));
}
