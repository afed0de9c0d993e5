import { join } from 'node:path';
import { z } from 'zod';
import { exists, readJson } from './read-json.ts';

/** How a graph calls what it takes and gives; `%d` stands for the layer. */
export interface GraphNames {
  inputIds: string;
  attentionMask: string;
  positionIds: string;
  pastKeys: string;
  pastValues: string;
  logits: string;
  presentKeys: string;
  presentValues: string;
}

/** The names of onnx-community, and of onnxruntime-genai where its configuration says nothing else. */
export const STANDARD_NAMES: GraphNames = {
  inputIds: 'input_ids',
  attentionMask: 'attention_mask',
  positionIds: 'position_ids',
  pastKeys: 'past_key_values.%d.key',
  pastValues: 'past_key_values.%d.value',
  logits: 'logits',
  presentKeys: 'present.%d.key',
  presentValues: 'present.%d.value',
};

export const GENAI_CONFIG = 'genai_config.json';

/** A file name, not a way out of the directory. */
const fileName = z.string().regex(/^[^/\\]{1,255}$/, 'must be a file name');
const name = z.string().min(1).max(255);
const namePattern = name.includes('%d', { message: 'must hold %d for the layer' });

/** The part of https://onnxruntime.ai/docs/genai/reference/config.html that says what to load and how to feed it. */
const genaiConfigFile = z.looseObject({
  model: z.looseObject({
    type: z.string().nullish(),
    vocab_size: z.int().min(1).nullish(),
    context_length: z.int().min(1).nullish(),
    eos_token_id: z.union([z.int().min(0), z.array(z.int().min(0))]).nullish(),
    decoder: z.looseObject({
      filename: fileName.default('model.onnx'),
      num_attention_heads: z.int().min(1).nullish(),
      inputs: z
        .looseObject({
          input_ids: name.default(STANDARD_NAMES.inputIds),
          attention_mask: name.default(STANDARD_NAMES.attentionMask),
          position_ids: name.default(STANDARD_NAMES.positionIds),
          past_key_names: namePattern.default(STANDARD_NAMES.pastKeys),
          past_value_names: namePattern.default(STANDARD_NAMES.pastValues),
        })
        .prefault({}),
      outputs: z
        .looseObject({
          logits: name.default(STANDARD_NAMES.logits),
          present_key_names: namePattern.default(STANDARD_NAMES.presentKeys),
          present_value_names: namePattern.default(STANDARD_NAMES.presentValues),
        })
        .prefault({}),
    }),
  }),
});

/** What of it the engine uses. */
export interface GenaiConfig {
  architecture: string | undefined;
  /** Name of the graph file, beside the configuration. */
  graph: string;
  vocabSize: number | undefined;
  contextLength: number | undefined;
  heads: number | undefined;
  eosTokenIds: readonly number[] | undefined;
  names: GraphNames;
}

/** `genai_config.json` of onnxruntime-genai's model builder; undefined where there is none. */
export async function readGenaiConfig(directory: string): Promise<GenaiConfig | undefined> {
  const path = join(directory, GENAI_CONFIG);
  if (!(await exists(path))) return undefined;
  const { model } = await readJson(path, genaiConfigFile, 'export the model again with onnxruntime-genai');
  const { inputs, outputs } = model.decoder;
  return {
    architecture: model.type ?? undefined,
    graph: model.decoder.filename,
    vocabSize: model.vocab_size ?? undefined,
    contextLength: model.context_length ?? undefined,
    heads: model.decoder.num_attention_heads ?? undefined,
    eosTokenIds: typeof model.eos_token_id === 'number' ? [model.eos_token_id] : (model.eos_token_id ?? undefined),
    names: {
      inputIds: inputs.input_ids,
      attentionMask: inputs.attention_mask,
      positionIds: inputs.position_ids,
      pastKeys: inputs.past_key_names,
      pastValues: inputs.past_value_names,
      logits: outputs.logits,
      presentKeys: outputs.present_key_names,
      presentValues: outputs.present_value_names,
    },
  };
}
