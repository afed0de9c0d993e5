import { ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import type { App } from '../app.ts';
import type { ServerDeps } from '../deps.ts';
import type { ServedModel } from '../models.ts';
import { ModelListResponse, ModelResponse } from '../schemas/responses.ts';
import { errorResponses } from '../schemas/route-docs.ts';

// A model's name may contain slashes: `/v1/models/org/name`.
const ModelPath: z.ZodType<{ '*': string }, unknown> = z.object({ '*': z.string().max(256) });

const LIST = {
  tags: ['service'],
  summary: 'List the models',
  response: { 200: ModelListResponse, ...errorResponses('invalid_api_key', 'unavailable') },
};
const ONE = {
  tags: ['service'],
  summary: 'Look at a model',
  params: ModelPath,
  response: { 200: ModelResponse, ...errorResponses('invalid_api_key', 'model_not_found', 'unavailable') },
};

/** The models that workers serve. */
export function modelRoutes(app: App, deps: ServerDeps): void {
  app.get('/v1/models', { schema: LIST }, async () => {
    const models = await deps.models.list();
    return { object: 'list', data: models.map(modelJson) };
  });

  app.get('/v1/models/*', { schema: ONE }, async (request) => {
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
