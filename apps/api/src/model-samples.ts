import type { ModelSample } from '@shoal/telemetry';
import type { Models } from './models.ts';

/** What each model's queue holds and its workers report; nothing while Redis is away, so that a scrape never fails. */
export async function modelSamples(models: Models): Promise<ModelSample[]> {
  try {
    const served = await models.list();
    return await Promise.all(
      served.map(async ({ card, producer, reports }) => {
        const [queue, workers] = await Promise.all([producer.inspect(), reports()]);
        return { model: card.name, queue, workers };
      }),
    );
  } catch {
    return [];
  }
}
