import { choice, integer, optional, text } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

export type ExecutionProvider = 'auto' | 'cpu' | 'cuda' | 'tensorrt' | 'webgpu' | 'coreml' | 'dml';

/** Variant of the model's graph file, named as Transformers.js names them. */
export type ModelDtype = 'fp32' | 'fp16' | 'int8' | 'uint8' | 'q8' | 'q4' | 'q4f16' | 'bnb4';

/** Which model a worker loads, and onto what. */
export interface ModelConfig {
  model: string;
  modelName: string | undefined;
  modelDtype: ModelDtype;
  executionProvider: ExecutionProvider;
  deviceId: number;
  intraOpThreads: number;
}

export const modelSettings: SettingsTable<ModelConfig> = {
  model: {
    ...text(/^\P{Cc}{1,1024}$/u, 'a directory, or a hub id org/name[/folder][@revision]'),
    env: 'MODEL',
    default: './models/minnow',
    doc: 'The model: a directory in the layout of Hugging Face or onnxruntime-genai (relative to the working directory), or a hub id, of which the files of one variant are downloaded into the hub’s cache. Name a commit as revision to start without asking the hub, and to load the same files for ever.',
  },
  modelName: {
    ...optional(text(/^[A-Za-z0-9._/@-]{1,128}$/, '1 to 128 letters, digits or . _ / @ -')),
    env: 'MODEL_NAME',
    default: undefined,
    defaultText: 'the last part of `MODEL`, without its revision',
    doc: 'Name under which the model is served, which is also the name of its queue.',
  },
  modelDtype: {
    ...choice(['fp32', 'fp16', 'int8', 'uint8', 'q8', 'q4', 'q4f16', 'bnb4']),
    env: 'MODEL_DTYPE',
    default: 'fp32',
    doc: 'Variant of the model file: `fp32` loads `onnx/model.onnx`, `fp16` loads `onnx/model_fp16.onnx`.',
  },
  executionProvider: {
    ...choice(['auto', 'cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml']),
    env: 'EXECUTION_PROVIDER',
    default: 'auto',
    doc: 'ONNX Runtime execution provider; `auto` takes `cuda`, `webgpu` or `cpu`: the first with a real adapter.',
  },
  deviceId: {
    ...integer(0, 255),
    env: 'DEVICE_ID',
    default: 0,
    doc: 'Which GPU to use. Run one worker process per GPU.',
  },
  intraOpThreads: {
    ...integer(0, 1024),
    env: 'INTRA_OP_THREADS',
    default: 0,
    unit: 'threads',
    doc: 'Threads that compute one operator on the CPU; 0 takes half of the logical cores.',
  },
};
