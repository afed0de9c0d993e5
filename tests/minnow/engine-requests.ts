import { fileURLToPath } from 'node:url';
import type { EngineRequest, GenerationEngine } from '@shoal/engine';
import type { HeldOutPrompt } from './held-out.ts';

export const MODEL_DIRECTORY: string = fileURLToPath(new URL('../../models/minnow', import.meta.url));

/** The greedy request for a held-out prompt, in its own form. */
export function greedy(row: HeldOutPrompt): EngineRequest {
  const params = { temperature: 0, topP: 1, topK: 0, maxTokens: 400, stop: [] };
  return row.form === 'chat'
    ? { id: row.id, messages: [{ role: 'user', content: row.prompt }], params }
    : { id: row.id, prompt: row.prompt, params };
}

export interface Generated {
  text: string;
  tokenIds: number[];
}

export async function generate(engine: GenerationEngine, request: EngineRequest): Promise<Generated> {
  for await (const event of engine.generate(request)) {
    if (event.type === 'finished') return { text: event.text, tokenIds: event.tokenIds };
  }
  throw new Error(`${request.id} ended without a finished event`);
}
