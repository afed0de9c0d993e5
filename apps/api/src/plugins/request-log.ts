import { isLogged, type Logger } from '@shoal/telemetry';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { App } from '../app.ts';
import { routePath } from './route-path.ts';

/** Asked every few seconds by machines. */
const UNINTERESTING = /^\/(health|metrics)/;

/**
 * One line per answer. A share of them where that is asked for, chosen by the job's id, so that the worker's line is
 * there too; failures of ours always.
 */
export function installRequestLog(app: App, { logger, share }: { logger: Logger; share: number }): void {
  app.addHook('onResponse', (request, reply, done) => {
    const level = levelOf(request, reply);
    // A line that nobody writes is not made either: this runs at every request.
    if (logger.isLevelEnabled(level)) {
      const jobId = jobIdOf(reply);
      if (level !== 'info' || isLogged(jobId ?? request.id, share)) {
        logger[level](lineOf(request, reply, jobId), 'answered');
      }
    }
    done();
  });
}

function levelOf(request: FastifyRequest, { statusCode }: FastifyReply): 'warn' | 'info' | 'debug' {
  if (statusCode >= 500) return 'warn';
  return UNINTERESTING.test(routePath(request)) ? 'debug' : 'info';
}

function lineOf(request: FastifyRequest, reply: FastifyReply, jobId: string | undefined): object {
  const { id, method, routeOptions, tenant } = request;
  const { statusCode: status, elapsedTime } = reply;
  return {
    requestId: id,
    ...(jobId === undefined ? {} : { jobId }),
    ...(tenant === undefined ? {} : { tenant }),
    ...{ method, route: routeOptions.url, status, ms: Math.round(elapsedTime) },
  };
}

function jobIdOf(reply: FastifyReply): string | undefined {
  const jobId = reply.getHeader('x-shoal-job-id');
  return typeof jobId === 'string' ? jobId : undefined;
}
