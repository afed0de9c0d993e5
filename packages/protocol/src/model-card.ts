import { z } from 'zod';

/** What a worker announces of the model that it serves; the API reads it to validate and to list models. */
export interface ModelCard {
  /** Served name, which is also the queue's. */
  name: string;
  /** Most tokens of prompt and answer together. */
  maxModelLen: number;
  vocabSize: number;
  /** False when the model has no chat template: chat requests are then refused. */
  chat: boolean;
  /** Content hash of the model's files, shortened. */
  revision: string;
  dtype: string;
  executionProvider: string;
  /** Numerics fingerprint of the worker that announced it last; absent from workers of before. */
  fingerprint?: string | undefined;
  /** Unix time in milliseconds of the last announcement. */
  announcedAt: number;
}

export const ModelCard: z.ZodType<ModelCard, unknown> = z.object({
  name: z.string(),
  maxModelLen: z.int().min(1),
  vocabSize: z.int().min(1),
  chat: z.boolean(),
  revision: z.string(),
  dtype: z.string(),
  executionProvider: z.string(),
  fingerprint: z.string().max(64).optional(),
  announcedAt: z.number(),
});
