import { ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';
import type { ServedModel } from '../models.ts';

// A model's name may contain slashes: `/v1/models/org/name`.
const ModelPath: z.ZodType<{ '*': string }, unknown> = z.object({ '*': z.string().max(256) });

/** The models that workers serve. */
export function modelRoutes(app: App, deps: ServerDeps): void {
  app.get('/v1/models', async () => {
    const models = await deps.models.list();
    return { object: 'list', data: models.map(modelJson) };
  });

  app.get('/v1/models/*', { schema: { params: ModelPath } }, async (request) => {
    const name = request.params['*'];
    const model = (await deps.models.list()).find(({ card }) => card.name === name);
    if (model === undefined) throw new ShoalError('model_not_found', 'no worker serves this model; see GET /v1/models');
    return modelJson(model);
  });
}

function modelJson({ card, workers }: ServedModel): object {
  return {
    id: card.name,
    object: 'model',
    created: Math.floor(card.announcedAt / 1000),
    owned_by: 'shoal',
    max_model_len: card.maxModelLen,
    shoal: {
      chat: card.chat,
      workers,
      revision: card.revision,
      dtype: card.dtype,
      execution_provider: card.executionProvider,
    },
  };
}
