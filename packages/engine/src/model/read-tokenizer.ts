import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ChatTemplate } from '../tokenizer/chat-template.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { modelFault, readJson, readText } from './read-json.ts';

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

export async function readTokenizer(directory: string): Promise<Tokenizer> {
  const path = join(directory, 'tokenizer.json');
  const json = await readJson(path, z.looseObject({ model: z.looseObject({}) }), REMEDY);
  const configPath = join(directory, 'tokenizer_config.json');
  const config = await readJson(configPath, tokenizerConfigFile, REMEDY);
  const template = await readChatTemplate(directory, config);
  try {
    return new Tokenizer(json, config, template);
  } catch (cause) {
    throw modelFault(path, 'the tokenizer cannot be built from this file', REMEDY, cause);
  }
}

async function readChatTemplate(directory: string, config: TokenizerConfigFile): Promise<ChatTemplate | undefined> {
  const path = join(directory, 'chat_template.jinja');
  const separate = await access(path).then(
    () => true,
    () => false,
  );
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
    throw modelFault(file, 'the chat template does not parse', 'correct the template or remove it', cause);
  }
}

function templateOf(config: TokenizerConfigFile): string | undefined {
  const template = config.chat_template ?? undefined;
  if (typeof template !== 'object') return template;
  return template.find((candidate) => candidate.name === 'default')?.template;
}
