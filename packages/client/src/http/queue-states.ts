import { z } from 'zod';
import type { QueueState } from '../job.ts';

export interface ModelsAnswer {
  data: { id: string; max_model_len: number; shoal: { chat: boolean; workers: number } }[];
}

/** What `GET /v1/models` answers. */
export const ModelsAnswer: z.ZodType<ModelsAnswer, unknown> = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      max_model_len: z.int(),
      shoal: z.object({ chat: z.boolean(), workers: z.int() }),
    }),
  ),
});

/**
 * The models, with the depths that the API's metrics tell: `shoal_queue_depth{model="…",state="waiting",priority="5"} 4`.
 * What is suspect or delayed waits as well.
 */
export function queueStates({ data }: ModelsAnswer, metrics: string): QueueState[] {
  const depths = new Map<string, number>();
  for (const [, labels = '', value] of metrics.matchAll(/^shoal_queue_depth\{([^}]*)\} (\S+)$/gm)) {
    const model = /(?:^|,)model="([^"]*)"/.exec(labels)?.[1];
    const state = /(?:^|,)state="([^"]*)"/.exec(labels)?.[1];
    const place = `${state === 'running' ? 'running' : 'waiting'} ${model}`;
    depths.set(place, (depths.get(place) ?? 0) + Number(value));
  }
  return data.map(({ id, max_model_len, shoal }) => {
    const waiting = depths.get(`waiting ${id}`);
    const running = depths.get(`running ${id}`);
    return {
      model: id,
      workers: shoal.workers,
      maxModelLen: max_model_len,
      chat: shoal.chat,
      ...(waiting === undefined ? {} : { waiting }),
      ...(running === undefined ? {} : { running }),
    };
  });
}
