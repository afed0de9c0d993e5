import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MINNOW } from '../testing/minnow.ts';
import { readTokenizer } from './read-tokenizer.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-tokenizer-'));
  await writeFile(join(directory, 'tokenizer_config.json'), '{}');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Reads minnow's tokenizer with other parts, and tells why it cannot. */
async function refusal(parts: object): Promise<unknown> {
  const json: object = JSON.parse(await readFile(join(MINNOW, 'tokenizer.json'), 'utf8'));
  await writeFile(join(directory, 'tokenizer.json'), JSON.stringify({ ...json, ...parts }));
  return readTokenizer(directory, 261).catch((error: Error) => error.message);
}

describe('a tokenizer that cannot be built', () => {
  it.each([
    ['pre-tokenizer', { pre_tokenizer: { type: 'UnicodeScripts' } }, 'its PreTokenizer "UnicodeScripts"'],
    [
      'part of a sequence',
      { normalizer: { type: 'Sequence', normalizers: [{ type: 'Nmt' }] } },
      'its Normalizer "Nmt"',
    ],
    ['decoder', { decoder: { type: 'Riddle' } }, 'its Decoder "Riddle"'],
  ])('names the unknown %s, which no other download would bring', async (_, parts, named) => {
    expect(await refusal(parts)).toBe(
      `${join(directory, 'tokenizer.json')}: the tokenizer cannot be built from this file: ${named} is not supported; ` +
        'choose a model with another tokenizer',
    );
  });

  it('says in one short line what else the library found', async () => {
    const broken = { type: 'Split', pattern: { Regex: `(${'x'.repeat(1000)}\n` }, behavior: 'Isolated', invert: false };
    expect(await refusal({ pre_tokenizer: broken })).toMatch(
      /: the tokenizer cannot be built from this file: Invalid [^\n]{1,200}…?; download the model again, or export it/,
    );
  });

  it('says where a chat template does not parse', async () => {
    await writeFile(join(directory, 'chat_template.jinja'), '{% for message in messages %}{{ message.content }}');
    expect(await refusal({})).toMatch(
      /chat_template.jinja: the chat template does not parse: \S[^\n]+; correct the template or remove it$/,
    );
  });
});
