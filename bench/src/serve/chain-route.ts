import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { Redis } from 'ioredis';
import { type ChainJob, type ChainReply, JOBS, REPLIES } from './chain-words.ts';

// The route of a bare chain: pushes a job, writes what comes back as server-sent events. It checks nothing, and nothing
// survives it.

const BLOCK_MS = 5_000;

const { REDIS_URL = '', PORT = '' } = process.env;
const redis = new Redis(REDIS_URL);
const waiting = new Map<string, ServerResponse>();

async function listen(): Promise<never> {
  const blocking = new Redis(REDIS_URL);
  for (let last = '$'; ; ) {
    const [stream] = (await blocking.xread('BLOCK', BLOCK_MS, 'STREAMS', REPLIES, last)) ?? [];
    for (const [entry, [id = '', reply = '']] of stream?.[1] ?? []) {
      last = entry;
      write(id, JSON.parse(reply) as ChainReply);
    }
  }
}

function write(id: string, { tokens, total }: ChainReply): void {
  const response = waiting.get(id);
  if (response === undefined) return;
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.cork();
  if (tokens > 0) response.write(`data: ${JSON.stringify({ text: ' x'.repeat(tokens) })}\n\n`);
  if (total !== undefined) {
    response.end(`data: ${JSON.stringify({ usage: { completion_tokens: total } })}\n\ndata: [DONE]\n\n`);
    waiting.delete(id);
  }
  response.uncork();
}

void listen();
createServer(async (request, response) => {
  if (request.url === '/health') {
    response.end();
    return;
  }
  const { prompt, max_tokens: maxTokens } = JSON.parse(await text(request)) as {
    prompt: number[];
    max_tokens: number;
  };
  const job: ChainJob = { id: randomUUID(), prompt, maxTokens };
  waiting.set(job.id, response);
  await redis.lpush(JOBS, JSON.stringify(job));
}).listen(Number(PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
