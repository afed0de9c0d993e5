import type { QueueDepthSample } from '@shoal/telemetry';
import type { Models } from './models.ts';

/** How many jobs each model's queue holds; nothing while Redis is away, so that a scrape never fails. */
export async function queueDepths(models: Models): Promise<QueueDepthSample[]> {
  try {
    const served = await models.list();
    return await Promise.all(
      served.map(async ({ card, producer }) => ({ model: card.name, ...(await producer.depth()) })),
    );
  } catch {
    return [];
  }
}
