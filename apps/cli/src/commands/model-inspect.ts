import {
  type BatchingPolicy,
  type ExecutionProvider,
  inspectModel,
  locateModel,
  type ModelDtype,
  type ModelReport,
} from '@shoal/engine';
import { EXIT, type Terminal } from '../terminal.ts';
import { hubOf, withBar, withRevision } from './model-hub.ts';

export interface InspectCommandOptions {
  dtype: ModelDtype;
  revision?: string;
  executionProvider?: ExecutionProvider;
  batching?: BatchingPolicy;
  maxBatchSize?: number;
  maxModelLen?: number;
  kvCacheMb?: number;
  json?: boolean;
}

export async function inspect(model: string, options: InspectCommandOptions, terminal: Terminal): Promise<number> {
  const { stdout, signal } = terminal;
  const { json, revision, ...engineOptions } = options;
  const [id, hub] = [withRevision(model, revision), hubOf(terminal)];
  const modelDirectory = await withBar(terminal, (onEvent) =>
    locateModel(id, { dtype: options.dtype, hub, signal, onEvent }),
  );
  if (modelDirectory === undefined) return EXIT.failed;
  const report = await inspectModel({ modelDirectory, ...engineOptions });
  stdout.write(json ? `${JSON.stringify(report)}\n` : rendered(report));
  return report.refusals.length === 0 ? EXIT.ok : EXIT.failed;
}

const CACHE_PATHS = {
  'in-place': 'updated in place (grouped-query attention): the fast path',
  concat: 'copied at every step (concatenated keys and values): the slower path',
};

function rendered(report: ModelReport): string {
  const { kvBytesPerToken, slots, budgetTokens, budgetBytes, maxModelLen, refusals } = report;
  const inputs = [
    report.positionIds && 'position_ids',
    report.logitsIndex && 'logits_index (prefills compute the logits they need, no others)',
  ].filter((input) => typeof input === 'string');
  const rows: [string, string | undefined][] = [
    ['model', report.directory],
    ['architecture', report.architecture],
    ['shape', shapeOf(report)],
    ['context', counted(report.contextLength, 'tokens')],
    ['chat template', report.chat === undefined ? undefined : report.chat ? 'yes' : 'no'],
    ['variant', `${report.dtype}${report.weights ? `: ${weightsOf(report.weights)}` : ''}`],
    ['files', `${report.files.length}, ${size(report.bytes)}`],
    ...report.files.map(({ path, bytes }): [string, string] => ['', `${path}  ${size(bytes)}`]),
    ['runs on', report.executionProvider],
    ['KV cache', report.cacheUpdate && CACHE_PATHS[report.cacheUpdate]],
    ['', kvBytesPerToken === undefined ? undefined : `${size(kvBytesPerToken)} per token, ${report.cacheType}`],
    ['inputs', inputs.length === 0 ? undefined : inputs.join(', ')],
    ['sequences', slots === undefined ? undefined : `${slots} together, of up to ${maxModelLen} tokens each`],
    ['KV budget', budgetTokens === undefined ? undefined : `${budgetTokens} tokens, ${size(budgetBytes ?? 0)}`],
    ['verdict', refusals.length === 0 ? 'can be loaded' : 'would be refused:'],
    ...refusals.map((refusal): [string, string] => ['', refusal]),
  ];
  const told = rows.filter((row): row is [string, string] => row[1] !== undefined && row[1] !== '');
  return told.map(([name, value]) => `${name.padEnd(15)}${value}\n`).join('');
}

function shapeOf({ layers, heads, kvHeads, headSize, vocabSize }: ModelReport): string | undefined {
  const parts = [
    counted(layers, 'layers'),
    counted(heads, 'heads'),
    counted(kvHeads, 'KV heads'),
    headSize && `head size ${headSize}`,
    vocabSize && `vocabulary of ${vocabSize}`,
  ];
  const known = parts.filter(Boolean);
  return known.length === 0 ? undefined : known.join(', ');
}

function counted(count: number | undefined, noun: string): string | undefined {
  return count === undefined ? undefined : `${count} ${noun}`;
}

function weightsOf(weights: Record<string, number>): string {
  const known = Object.entries(weights).filter(([, bytes]) => bytes > 0);
  return known
    .sort(([, a], [, b]) => b - a)
    .map(([type, bytes]) => `${type} ${size(bytes)}`)
    .join(', ');
}

function size(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
