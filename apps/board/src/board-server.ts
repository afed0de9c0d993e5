import { createBullBoard } from '@bull-board/api';
import type { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import { fastifyBasicAuth } from '@fastify/basic-auth';
import type { BoardConfig } from '@shoal/config';
import type { Logger } from '@shoal/telemetry';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify';
import { isForeignChange, sameSecret } from './login.ts';
import { LoginAttempts } from './login-attempts.ts';
import { refuseButtons } from './refused-buttons.ts';

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
  /** A clock in ms that is never set, for the minutes of wrong passwords. */
  now?: () => number;
}

/** On every reply: no page frames the board, whose buttons one could be led to press, and none is read as another type. */
const SAFE_HEADERS = {
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "frame-ancestors 'none'",
};

const FOREIGN = 'changes are made from the pages of the board itself; a proxy must pass on sec-fetch-site, or host';
const AWAY = 'Redis does not answer; check that it runs and that REDIS_URL points to it';

/** Bull Board behind a login; `/health/live` and `/health/ready` need none. */
export async function buildBoard(deps: BoardServerDeps): Promise<BoardServer> {
  const loggerInstance: FastifyBaseLogger = deps.logger;
  const app = fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    frameworkErrors: (error, _request, reply) => refusePath(reply, error.statusCode ?? 400),
  });
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(SAFE_HEADERS);
    done();
  });
  logFailures(app, deps.logger);
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
      handlerHooks: { before: refuseButtons },
      uiConfig: {
        boardTitle: 'Shoal',
        hideRedisDetails: true,
        miscLinks: [{ text: 'Workers and settings', url: '/fleet' }],
      },
    },
  });
  await app.register(async (board) => {
    await askForLogin(board, deps);
    board.addHook('onRequest', async (request, reply) => {
      if (isForeignChange(request)) return reply.code(403).send({ error: FOREIGN });
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

/** Lets in who knows user and password, and refuses for a while who tried too many. */
async function askForLogin(board: FastifyInstance, deps: BoardServerDeps): Promise<void> {
  const attempts = new LoginAttempts(deps.now ?? (() => performance.now()));
  // From here to the note of a wrong password nothing waits: of requests that come at once, each is counted.
  board.addHook('onRequest', (request, reply, done) => {
    const waitS = Math.ceil(attempts.waitMs(request.ip) / 1000);
    if (waitS === 0 || request.headers.authorization === undefined) return done();
    reply.code(429).header('retry-after', waitS);
    reply.send({ error: `too many wrong passwords from this address; try again in ${waitS} s` });
  });
  await board.register(fastifyBasicAuth, {
    authenticate: { realm: 'Shoal board' },
    validate: (user, password, _request, _reply, done) => {
      // Both are compared, always: neither result may show in the time taken.
      const matches = [sameSecret(user, deps.config.boardUser), sameSecret(password, deps.config.boardPassword)];
      done(matches.every(Boolean) ? undefined : new Error('wrong user name or password'));
    },
  });
  board.addHook('onRequest', board.basicAuth);
  board.addHook('onError', (request, _reply, error, done) => {
    if (error.statusCode === 401 && request.headers.authorization !== undefined) {
      const wrongInAMinute = attempts.note(request.ip);
      deps.logger.warn({ remoteAddress: request.ip, wrongInAMinute }, 'login refused: wrong user name or password');
    }
    done();
  });
}

/** What fastify finds wrong with a path, it answers before any hook. */
function refusePath(reply: FastifyReply, status: number): void {
  reply
    .headers(SAFE_HEADERS)
    .code(status)
    .send({ error: 'the path is malformed or too long; go on from the board itself' });
}

/** A line for each answer that says the board failed. It holds nothing of what was asked: no path, and no message. */
function logFailures(app: FastifyInstance, logger: Logger): void {
  const causes = new WeakMap<FastifyRequest, Error>();
  app.addHook('onError', (request, _reply, error, done) => {
    causes.set(request, error);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    if (reply.statusCode >= 500) {
      const cause = causes.get(request);
      const at = cause?.stack?.split('\n').filter((line) => /^ +at /.test(line));
      const asked = { method: request.method, route: request.routeOptions.url };
      logger.warn({ ...asked, status: reply.statusCode, error: cause?.name, at }, 'request failed');
    }
    done();
  });
}

async function answersTo(ping: () => Promise<unknown>): Promise<boolean> {
  return ping().then(
    () => true,
    () => false,
  );
}
