import { join } from 'node:path';
import { z } from 'zod';
import { GENAI_CONFIG, type GenaiConfig, type GraphNames, readGenaiConfig, STANDARD_NAMES } from './genai-config.ts';
import { exists, modelFault, readJson } from './read-json.ts';

/** What the engine needs to know of a decoder, from its configuration files. */
export interface ModelConfig {
  /** The kind of decoder: `llama`, `qwen3`, … */
  architecture: string | undefined;
  vocabSize: number;
  /** Tokens of prompt and answer that the model was built for. */
  contextLength: number;
  /** Query heads per layer; the layers and the heads of the cache are read from the graph. */
  heads: number | undefined;
  /** Whether its attention looks back only so far. */
  slidingWindow: boolean;
  /** Any of these ends an answer. */
  eosTokenIds: readonly number[];
  /** How the graph calls what it takes and gives. */
  names: GraphNames;
}

const tokenIds = z.union([z.int().min(0), z.array(z.int().min(0))]).nullish();
const count = z.int().min(1);

/** Older decoders (GPT-2) say `n_positions` and `n_head`. */
const configFile = z
  .looseObject({
    model_type: z.string().nullish(),
    vocab_size: count,
    max_position_embeddings: count.nullish(),
    n_positions: count.nullish(),
    num_attention_heads: count.nullish(),
    n_head: count.nullish(),
    sliding_window: count.nullish(),
    use_sliding_window: z.boolean().nullish(),
    eos_token_id: tokenIds,
  })
  .refine((config) => (config.max_position_embeddings ?? config.n_positions) != null, {
    path: ['max_position_embeddings'],
    error: 'is missing',
  });

const generationConfigFile = z.looseObject({ eos_token_id: tokenIds });

const REMEDY = 'download the model again, or export it with its configuration files';

/** Reads `config.json`, or what `genai_config.json` says where that stands alone, and `generation_config.json`. */
export async function readModelConfig(directory: string): Promise<ModelConfig> {
  const genai = await readGenaiConfig(directory);
  const path = join(directory, 'config.json');
  const alone = genai !== undefined && !(await exists(path));
  const config = alone ? fromGenai(genai, directory) : await fromConfig(path);
  // The builder knows all tokens that end a chat's turn, of which config.json often has the first alone.
  const eosTokenIds = (await readGenerationEos(directory)) ?? genai?.eosTokenIds ?? config.eosTokenIds;
  if (eosTokenIds.length > 0 && eosTokenIds.every((id) => id >= config.vocabSize)) {
    const fault = `eos_token_id ${eosTokenIds.join(', ')} is not among the model's ${config.vocabSize} tokens`;
    throw modelFault(directory, fault, REMEDY);
  }
  return { ...config, eosTokenIds, names: genai?.names ?? STANDARD_NAMES };
}

async function fromConfig(path: string): Promise<Omit<ModelConfig, 'names'>> {
  const config = await readJson(path, configFile, REMEDY);
  return {
    architecture: config.model_type ?? undefined,
    vocabSize: config.vocab_size,
    contextLength: config.max_position_embeddings ?? config.n_positions ?? 0,
    heads: config.num_attention_heads ?? config.n_head ?? undefined,
    slidingWindow: config.sliding_window != null && config.use_sliding_window !== false,
    eosTokenIds: asList(config.eos_token_id) ?? [],
  };
}

function fromGenai(genai: GenaiConfig, directory: string): Omit<ModelConfig, 'names'> {
  const required = (value: number | undefined, field: string): number => {
    if (value !== undefined) return value;
    const fault = `model.${field} is missing, and there is no config.json`;
    throw modelFault(join(directory, GENAI_CONFIG), fault, REMEDY);
  };
  return {
    architecture: genai.architecture,
    vocabSize: required(genai.vocabSize, 'vocab_size'),
    contextLength: required(genai.contextLength, 'context_length'),
    heads: genai.heads,
    // The builder's graphs update their cache in place: nothing ever stands between it and a new position.
    slidingWindow: false,
    eosTokenIds: genai.eosTokenIds ?? [],
  };
}

/** The file is optional; a broken one is still a fault. */
async function readGenerationEos(directory: string): Promise<number[] | undefined> {
  const path = join(directory, 'generation_config.json');
  if (!(await exists(path))) return undefined;
  return asList((await readJson(path, generationConfigFile, REMEDY)).eos_token_id);
}

function asList(ids: number | number[] | null | undefined): number[] | undefined {
  return typeof ids === 'number' ? [ids] : (ids ?? undefined);
}
