import { call } from './caller.ts';

export interface Model {
  id: string;
  /** Takes messages; otherwise only a text to go on from. */
  chat: boolean;
  /** Most tokens of prompt and answer together. */
  maxModelLen: number;
  /** Heard of lately; 0: a prompt waits for one. Every model that ever had a worker is listed. */
  workers: number;
}

/** Nobody looks longer at a list that does not come. */
const LONGEST_LISTING_MS = 10_000;

interface ModelJson {
  id: string;
  max_model_len: number;
  shoal: { chat: boolean; workers: number };
}

export async function listModels(key: string): Promise<Model[]> {
  const response = await call('/v1/models', { key, signal: AbortSignal.timeout(LONGEST_LISTING_MS) });
  const { data } = (await response.json()) as { data: ModelJson[] };
  return data.map(({ id, max_model_len, shoal }) => ({ id, maxModelLen: max_model_len, ...shoal }));
}
