import { cp, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MINNOW } from './minnow.ts';

/** A new model directory: minnow's tokenizer and configuration (261 tokens, a context of 512) with another graph. */
export async function modelDirectory(graph: Uint8Array, dtype: 'fp32' | 'fp16' | 'int8' = 'fp32'): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-model-'));
  for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    await cp(join(MINNOW, name), join(directory, name));
  }
  await mkdir(join(directory, 'onnx'));
  await writeFile(join(directory, 'onnx', dtype === 'fp32' ? 'model.onnx' : `model_${dtype}.onnx`), graph);
  return directory;
}
