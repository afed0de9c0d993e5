import { ShoalError } from '@shoal/protocol';
import type { JobView } from '@shoal/queue';
import type { Models, ServedModel } from '../models.ts';

export interface FoundJob {
  model: ServedModel;
  view: JobView;
}

/**
 * Looks for a job on every model's queue. Throws `job_not_found`, in the same words whether there is none or it is
 * another tenant's.
 */
export async function findJob(models: Models, id: string, tenant: string | undefined): Promise<FoundJob> {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id) || /^\d+$/.test(id)) throw notFound();
  const found = await Promise.all(
    (await models.list()).map(async (model) => ({ model, view: await model.producer.view(id).catch(ignoreBadId) })),
  );
  for (const { model, view } of found) {
    if (view !== undefined && (tenant === undefined || view.tenant === tenant)) return { model, view };
  }
  throw notFound();
}

/** Some ids can belong to no job (names that BullMQ uses itself): there is none, then. */
function ignoreBadId(error: unknown): undefined {
  if (error instanceof ShoalError && error.code === 'invalid_request_error') return undefined;
  throw error;
}

function notFound(): ShoalError {
  return new ShoalError('job_not_found', 'there is no such job, or its result is no longer kept');
}
