import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson } from './read-json.ts';

/** What the engine needs to know of a decoder, from `config.json` and `generation_config.json`. */
export interface ModelConfig {
  vocabSize: number;
  /** Tokens of prompt and answer that the model was built for. */
  contextLength: number;
  layers: number;
  kvHeads: number;
  headSize: number;
  /** Any of these ends an answer. */
  eosTokenIds: readonly number[];
}

const tokenIds = z.union([z.int().min(0), z.array(z.int().min(0))]).nullish();

const configFile = z.looseObject({
  vocab_size: z.int().min(1),
  max_position_embeddings: z.int().min(1),
  num_hidden_layers: z.int().min(1),
  num_attention_heads: z.int().min(1),
  num_key_value_heads: z.int().min(1).nullish(),
  hidden_size: z.int().min(1),
  head_dim: z.int().min(1).nullish(),
  eos_token_id: tokenIds,
});

const generationConfigFile = z.looseObject({ eos_token_id: tokenIds });

const REMEDY = 'download the model again, or export it with its configuration files';

export async function readModelConfig(directory: string): Promise<ModelConfig> {
  const config = await readJson(join(directory, 'config.json'), configFile, REMEDY);
  const generation = await readGenerationConfig(join(directory, 'generation_config.json'));
  const eos = generation.eos_token_id ?? config.eos_token_id ?? [];
  return {
    vocabSize: config.vocab_size,
    contextLength: config.max_position_embeddings,
    layers: config.num_hidden_layers,
    kvHeads: config.num_key_value_heads ?? config.num_attention_heads,
    headSize: config.head_dim ?? config.hidden_size / config.num_attention_heads,
    eosTokenIds: typeof eos === 'number' ? [eos] : eos,
  };
}

/** The file is optional; a broken one is still a fault. */
async function readGenerationConfig(path: string): Promise<z.infer<typeof generationConfigFile>> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  return exists ? readJson(path, generationConfigFile, REMEDY) : {};
}
