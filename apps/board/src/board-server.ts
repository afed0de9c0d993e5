import { createBullBoard } from '@bull-board/api';
import type { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import { fastifyBasicAuth } from '@fastify/basic-auth';
import type { BoardConfig } from '@shoal/config';
import type { Logger } from '@shoal/telemetry';
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify';
import { isForeignChange, sameSecret } from './login.ts';

export interface BoardServer {
  readonly app: FastifyInstance;
  /** Shows one more queue. */
  addQueue(adapter: BullMQAdapter): void;
}

export interface BoardServerDeps {
  config: Pick<BoardConfig, 'boardUser' | 'boardPassword'>;
  /** Resolves when Redis answers; rejects in bounded time when it does not. */
  ping: () => Promise<unknown>;
  /** The page of workers and settings, as HTML. */
  fleetPage: () => Promise<string>;
  logger: Logger;
}

const AWAY = 'Redis does not answer; check that it runs and that REDIS_URL points to it';

/** Bull Board behind a login; `/health/live` and `/health/ready` need none. */
export async function buildBoard(deps: BoardServerDeps): Promise<BoardServer> {
  const loggerInstance: FastifyBaseLogger = deps.logger;
  const app = fastify({ loggerInstance, logController: new LogController({ disableRequestLogging: true }) });
  app.get('/health/live', async () => ({ status: 'ok' }));
  app.get('/health/ready', async (_request, reply) => {
    const answers = await answersTo(deps.ping);
    return reply.code(answers ? 200 : 503).send({ status: answers ? 'ok' : AWAY });
  });

  const adapter = new FastifyAdapter();
  const { addQueue } = createBullBoard({
    queues: [],
    serverAdapter: adapter,
    options: {
      uiConfig: {
        boardTitle: 'Shoal',
        hideRedisDetails: true,
        miscLinks: [{ text: 'Workers and settings', url: '/fleet' }],
      },
    },
  });
  await app.register(async (board) => {
    await board.register(fastifyBasicAuth, {
      authenticate: { realm: 'Shoal board' },
      validate: async (user, password) => {
        // Both are compared, always: neither result may show in the time taken.
        const matches = [sameSecret(user, deps.config.boardUser), sameSecret(password, deps.config.boardPassword)];
        if (!matches.every(Boolean)) throw new Error('wrong user name or password');
      },
    });
    board.addHook('onRequest', board.basicAuth);
    board.addHook('onRequest', async (request, reply) => {
      if (isForeignChange(request)) return reply.code(403).send({ error: 'changes are made from the board itself' });
      // BullMQ waits for Redis without limit; a page that says so is better than one that hangs. The route tells what is
      // asked, however the URL is encoded.
      if (request.routeOptions.url?.includes('/api/') && !(await answersTo(deps.ping)))
        return reply.code(503).send({ error: AWAY });
      return undefined;
    });
    board.get('/fleet', async (_request, reply) => reply.type('text/html').send(await deps.fleetPage()));
    await board.register(adapter.registerPlugin());
  });
  return { app, addQueue };
}

async function answersTo(ping: () => Promise<unknown>): Promise<boolean> {
  return ping().then(
    () => true,
    () => false,
  );
}
