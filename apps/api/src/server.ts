import { randomUUID } from 'node:crypto';
import { type FastifyBaseLogger, fastify, LogController } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { App } from './app.ts';
import type { ServerDeps } from './deps.ts';
import { RequestScopes } from './generate/request-scope.ts';
import { type Admission, installAdmission } from './plugins/admission.ts';
import { installAuth } from './plugins/auth.ts';
import { installBody } from './plugins/body.ts';
import { installDocs } from './plugins/docs.ts';
import { answerClientError, asShoalError, installErrors, sendError } from './plugins/errors.ts';
import { installHeaders, requestId } from './plugins/headers.ts';
import { ProcessLedger } from './plugins/process-ledger.ts';
import { installRequestLog } from './plugins/request-log.ts';
import { TenantLimits } from './plugins/tenant-limits.ts';
import { activityRoutes } from './routes/activity.ts';
import { chatCompletionRoutes } from './routes/chat-completions.ts';
import { completionRoutes } from './routes/completions.ts';
import { healthRoutes } from './routes/health.ts';
import { jobEventRoutes } from './routes/job-events.ts';
import { jobRoutes } from './routes/jobs.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { modelRoutes } from './routes/models.ts';
import { playgroundRoutes } from './routes/playground.ts';

/** The HTTP server and its way to end. */
export interface ApiServer {
  readonly app: App;
  /** Turns new requests away, gives those in flight `timeoutMs`, ends the rest with an error, closes. */
  close(timeoutMs: number): Promise<void>;
}

/** A prompt in JSON may be several times longer than its UTF-8: `\u00e9` for two bytes. */
const JSON_FACTOR = 4;
const OTHER_FIELDS_BYTES = 65_536;
const ARRIVAL_MS = 30_000;
/** How long connections have to take their last bytes, once their requests were ended. */
const LAST_BYTES_MS = 1_000;

/** Builds the server from its parts; it listens nowhere yet. */
export function buildServer(deps: ServerDeps): ApiServer {
  const shutdown = new AbortController();
  const arrivalMs = deps.arrivalMs ?? ARRIVAL_MS;
  const loggerInstance: FastifyBaseLogger = deps.logger;
  const app: App = fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    // A child logger per request costs more than the rest of the logging; lines name the request themselves.
    childLoggerFactory: (logger) => logger,
    genReqId: requestId,
    bodyLimit: JSON_FACTOR * deps.config.maxPromptBytes + OTHER_FIELDS_BYTES,
    requestTimeout: arrivalMs,
    http: { headersTimeout: arrivalMs / 2, connectionsCheckingInterval: arrivalMs / 6 },
    return503OnClosing: false,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error, _request, reply) => sendError(reply, asShoalError(error)),
  }).withTypeProvider<ZodTypeProvider>();

  installErrors(app);
  installHeaders(app);
  installRequestLog(app, { logger: deps.logger, share: deps.config.logSample });
  installBody(app);
  const admission = installAdmission(app, {
    maxInFlight: deps.config.maxQueueSize,
    onRefused: (endpoint, outcome) => deps.metrics.requests.inc({ model: '', endpoint, outcome }),
  });
  installAuth(app, deps.config.apiKeys);

  const limits = new TenantLimits({
    maxInFlight: deps.config.tenantMaxInFlight,
    tokensPerMinute: deps.config.tenantTokensPerMinute,
    keys: deps.config.apiKeys,
    ledger: deps.ledger ?? new ProcessLedger(deps.clock),
    randomId: randomUUID,
  });
  const context = { ...deps, limits, scopes: new RequestScopes(shutdown.signal) };
  installDocs(app);
  // In a plugin of their own, so that the routes come after the hooks that document them.
  app.register(async (plugin) => {
    const routes: App = plugin.withTypeProvider<ZodTypeProvider>();
    completionRoutes(routes, context);
    chatCompletionRoutes(routes, context);
    jobRoutes(routes, context);
    jobEventRoutes(routes, context);
    activityRoutes(routes, context);
    modelRoutes(routes, deps);
    healthRoutes(routes, deps);
    if (deps.config.metrics === 'on') metricsRoutes(routes, deps);
    playgroundRoutes(routes, { boardUrl: deps.config.boardUrl });
  });
  return { app, close: (timeoutMs) => closeServer(app, admission, shutdown, timeoutMs) };
}

async function closeServer(
  app: App,
  admission: Admission,
  shutdown: AbortController,
  timeoutMs: number,
): Promise<void> {
  // Browsers keep sockets open on which they never asked anything; without callers, none is worth waiting for.
  const left = admission.close(timeoutMs + 2 * LAST_BYTES_MS).then(() => app.server.closeAllConnections());
  const ending = setTimeout(() => shutdown.abort(), timeoutMs);
  const cutting = setTimeout(() => app.server.closeAllConnections(), timeoutMs + LAST_BYTES_MS);
  try {
    await Promise.all([app.close(), left]);
  } finally {
    clearTimeout(ending);
    clearTimeout(cutting);
  }
}
