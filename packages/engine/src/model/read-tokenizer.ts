import { join } from 'node:path';
import type { ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import { ChatTemplate } from '../tokenizer/chat-template.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { exists, modelFault, readJson, readText } from './read-json.ts';

/** A special token is written as text, or as an object around the text. */
const specialToken = z
  .union([z.string(), z.looseObject({ content: z.string() })])
  .nullish()
  .transform((token) => (typeof token === 'object' ? token?.content : token));

const tokenizerConfigFile = z.looseObject({
  bos_token: specialToken,
  eos_token: specialToken,
  pad_token: specialToken,
  unk_token: specialToken,
  /** One template, or several by name, of which `default` counts. */
  chat_template: z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish(),
});

type TokenizerConfigFile = z.infer<typeof tokenizerConfigFile>;

const REMEDY = 'download the model again, or export it with its tokenizer';

const tokenizerFile = z.looseObject({ model: z.looseObject({ vocab: z.unknown().optional() }) });

/** @param vocabSize tokens that the model knows */
export async function readTokenizer(directory: string, vocabSize: number): Promise<Tokenizer> {
  const path = join(directory, 'tokenizer.json');
  const json = await readJson(path, tokenizerFile, REMEDY);
  const tokens = vocabularySize(json.model.vocab);
  if (tokens > vocabSize) {
    const fault = `the tokenizer has ${tokens} tokens, the model knows ${vocabSize}`;
    throw modelFault(path, fault, 'use the tokenizer that the model was trained with');
  }
  const configPath = join(directory, 'tokenizer_config.json');
  const config = await readJson(configPath, tokenizerConfigFile, REMEDY);
  const template = await readChatTemplate(directory, config);
  try {
    return new Tokenizer(json, config, template);
  } catch (cause) {
    throw unbuildable(path, cause);
  }
}

/** What the library says of a part of the pipeline that it does not have. */
const UNKNOWN_PART = /^Unknown (\w+) type: (.+)$/;

function unbuildable(path: string, cause: unknown): ShoalError {
  const reason = reasonOf(cause);
  const [, part, type] = UNKNOWN_PART.exec(reason) ?? [];
  const why = part === undefined ? reason : `its ${part} "${type}" is not supported`;
  const remedy = part === undefined ? REMEDY : 'choose a model with another tokenizer';
  return modelFault(path, `the tokenizer cannot be built from this file: ${why}`, remedy, cause);
}

const LONGEST_REASON = 200;

/** First line of what a library threw. */
function reasonOf(cause: unknown): string {
  const [line = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
  return line.length > LONGEST_REASON ? `${line.slice(0, LONGEST_REASON)}…` : line;
}

/**
 * One more than the highest id of the vocabulary proper: text to id, or in the order of their ids. Tokens that were
 * added to it may lie outside the model (Gemma's picture placeholder does); a prompt with such a token is refused.
 */
function vocabularySize(vocab: unknown): number {
  if (Array.isArray(vocab)) return vocab.length;
  if (typeof vocab !== 'object' || vocab === null) return 0;
  return Object.values(vocab).reduce((most, id) => (typeof id === 'number' ? Math.max(most, id + 1) : most), 0);
}

async function readChatTemplate(directory: string, config: TokenizerConfigFile): Promise<ChatTemplate | undefined> {
  const path = join(directory, 'chat_template.jinja');
  const separate = await exists(path);
  const source = separate ? await readText(path, REMEDY) : templateOf(config);
  if (source === undefined) return undefined;
  const specialTokens: Record<string, string> = {};
  for (const name of ['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const) {
    const token = config[name];
    if (typeof token === 'string') specialTokens[name] = token;
  }
  try {
    return new ChatTemplate(source, specialTokens);
  } catch (cause) {
    const file = separate ? path : join(directory, 'tokenizer_config.json');
    const fault = `the chat template does not parse: ${reasonOf(cause)}`;
    throw modelFault(file, fault, 'correct the template or remove it', cause);
  }
}

function templateOf(config: TokenizerConfigFile): string | undefined {
  const template = config.chat_template ?? undefined;
  if (typeof template !== 'object') return template;
  return template.find((candidate) => candidate.name === 'default')?.template;
}
