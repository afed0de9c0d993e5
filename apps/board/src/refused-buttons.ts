import type { BeforeHook } from '@bull-board/api/typings/app';

/**
 * What Bull Board offers and Shoal cannot keep its promises with, by method and route, and what to do instead. Bull Board
 * has no switch that hides these buttons.
 */
const REFUSED: Readonly<Record<string, string>> = {
  'post /api/queues/:queueName/add':
    'the board shows requests readable and cut, so what it would add is no request; run a job again with "shoal replay ID", or ask the API',
  'patch /api/queues/:queueName/:jobId/update-data':
    'the board shows requests readable and cut, so writing that back would destroy the request; remove the job, and ask the API anew',
  'put /api/queues/:queueName/obliterate':
    'callers would wait for jobs that are gone, and webhooks stay unsent; press Empty, which cancels what waits, then clean what is completed and failed',
};

/** Refuses those buttons before anything is read or written. */
export const refuseButtons: BeforeHook = ({ method, route }) => {
  const message = REFUSED[`${method} ${route}`];
  if (message === undefined) return undefined;
  return { allow: false, status: 403, errorKey: 'ERRORS.FORBIDDEN', message };
};
