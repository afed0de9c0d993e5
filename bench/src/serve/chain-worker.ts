import { Redis } from 'ioredis';
import { request } from '../contestants/engine-load.ts';
import { type ChainJob, type ChainReply, JOBS, REPLIES } from './chain-words.ts';
import { openDoor } from './engine-door.ts';
import { serveRuns } from './run-counter.ts';
import { engineFromEnvironment } from './worker-engine.ts';

// The worker of a bare chain: pops a job, runs it on the engine's thread, tells its tokens. A job dies with it.

const BLOCK_S = 5;
const REPLIES_KEPT = 10_000;

const { REDIS_URL = '' } = process.env;
const redis = new Redis(REDIS_URL);
const blocking = new Redis(REDIS_URL);
const engine = await engineFromEnvironment('continuous');

async function run({ id, prompt, maxTokens }: ChainJob): Promise<void> {
  const tell = (reply: ChainReply): Promise<unknown> =>
    redis.xadd(REPLIES, 'MAXLEN', '~', REPLIES_KEPT, '*', id, JSON.stringify(reply));
  let tokens = 0;
  let told = 0;
  for await (const event of engine.generate(request({ prompt, maxTokens }))) {
    if (event.type === 'tokens') tokens += event.tokenIds.length;
    // The last token goes with the end of the answer.
    if (event.type === 'tokens' && tokens >= maxTokens) continue;
    await tell({ tokens: tokens - told, ...(event.type === 'finished' && { total: tokens }) });
    told = tokens;
  }
}

serveRuns(engine);
openDoor(engine);
process.on('SIGTERM', () => process.exit(0));
for (;;) {
  const popped = await blocking.brpop(JOBS, BLOCK_S);
  if (popped !== null) void run(JSON.parse(popped[1]) as ChainJob);
}
