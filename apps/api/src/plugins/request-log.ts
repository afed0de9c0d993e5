import { isLogged } from '@shoal/telemetry';
import type { App } from '../app.ts';
import { routePath } from './route-path.ts';

/** Asked every few seconds by machines. */
const UNINTERESTING = /^\/(health|metrics)/;

/**
 * One line per answer. A share of them where that is asked for, chosen by the job's id, so that the worker's line is
 * there too; failures of ours always.
 */
export function installRequestLog(app: App, { share }: { share: number }): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { id, method, routeOptions, tenant } = request;
    const { statusCode: status, elapsedTime } = reply;
    const jobId = reply.getHeader('x-shoal-job-id');
    const line = {
      requestId: id,
      ...(typeof jobId === 'string' ? { jobId } : {}),
      ...(tenant === undefined ? {} : { tenant }),
      ...{ method, route: routeOptions.url, status, ms: Math.round(elapsedTime) },
    };
    if (status >= 500) request.log.warn(line, 'answered');
    else if (UNINTERESTING.test(routePath(request))) request.log.debug(line, 'answered');
    else if (isLogged(String(jobId ?? id), share)) request.log.info(line, 'answered');
    done();
  });
}
