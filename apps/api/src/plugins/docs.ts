import { fastifySwagger } from '@fastify/swagger';
import { fastifySwaggerUi } from '@fastify/swagger-ui';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { App } from '../app.ts';

const DESCRIPTION = `Prompts in, answers out, batched on the way. The shapes are OpenAI's: point an official client at
\`/v1\`. Shoal's own: \`priority\`, \`timeout_ms\`, jobs, and the \`shoal\` object, which tells in what company an
answer was made.

Errors are \`{error:{message,type,param,code}}\`; 429 and 503 carry \`retry-after\` and \`retry-after-ms\`. Streams are
server-sent events that end with \`data: [DONE]\`; lines that begin with a colon are keep-alive comments.`;

/** OpenAPI 3.1 from the same schemas that check the requests: a page at /docs, the document at /docs/json. */
export function installDocs(app: App): void {
  app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Shoal', description: DESCRIPTION, version: '1', license: { name: 'MIT' } },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      tags: [
        { name: 'generate', description: 'Answers while you wait' },
        { name: 'jobs', description: 'Answers to fetch later' },
        { name: 'service', description: 'Models, health, metrics' },
      ],
    },
    transform: jsonSchemaTransform,
  });
  app.register(fastifySwaggerUi, { routePrefix: '/docs', staticCSP: true, uiConfig: { docExpansion: 'list' } });
}
