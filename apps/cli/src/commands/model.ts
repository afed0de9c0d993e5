import type { ExecutionProvider, ModelDtype } from '@shoal/engine';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { RunCommand } from '../program.ts';
import type { Terminal } from '../terminal.ts';
import type { InspectCommandOptions } from './model-inspect.ts';
import type { PullCommandOptions } from './model-pull.ts';

const DTYPES: readonly ModelDtype[] = ['fp32', 'fp16', 'int8', 'uint8', 'q8', 'q4', 'q4f16', 'bnb4'];
const PROVIDERS: readonly ExecutionProvider[] = ['auto', 'cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'];

const HUB = `
The hub and its cache: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, as for a worker.`;

const PULL_EXAMPLES = `
Examples:
  shoal model pull onnx-community/Qwen3-0.6B-ONNX --dtype q4
  shoal model pull org/name@v1.0 --json
${HUB}`;

const INSPECT_EXAMPLES = `
Examples:
  shoal model inspect models/minnow
  shoal model inspect onnx-community/Qwen3-0.6B-ONNX --dtype q4 --kv-cache-mb 2048 --max-batch-size 32

Options and their defaults are those of a worker (docs/configuration.md). The graph is opened, so it must fit the
memory. Exit code 1: a worker would refuse it.
${HUB}`;

/** `shoal model pull|inspect`. What they need of the engine is loaded when they run, and by no other command. */
export function modelCommand(terminal: Terminal, run: RunCommand): Command {
  const model = new Command('model').description('Models: download from the hub, look inside.');
  model.addCommand(
    new Command('pull')
      .description(
        "Download the files of one variant of a model into the hub's cache; what is there is not fetched again.",
      )
      .argument('<id>', 'org/name[/folder][@revision]')
      .addOption(dtypeOption())
      .option('--revision <revision>', 'branch, tag or commit')
      .option('--json', 'print one JSON object')
      .addHelpText('after', PULL_EXAMPLES)
      .action((id: string, options: PullCommandOptions) =>
        run(async () => (await import('./model-pull.ts')).pull(id, options, terminal)),
      ),
  );
  model.addCommand(
    new Command('inspect')
      .description('Say what a model is, how it would run, and why it would be refused.')
      .argument('<model>', 'a directory, or org/name[/folder][@revision]')
      .addOption(dtypeOption())
      .option('--revision <revision>', 'branch, tag or commit')
      .addOption(new Option('--execution-provider <name>', 'EXECUTION_PROVIDER').choices(PROVIDERS))
      .addOption(new Option('--batching <policy>', 'BATCHING').choices(['continuous', 'static']))
      .option('--max-batch-size <n>', 'MAX_BATCH_SIZE', number)
      .option('--max-model-len <n>', 'MAX_MODEL_LEN', number)
      .option('--kv-cache-mb <n>', 'KV_CACHE_MB', number)
      .option('--json', 'print one JSON object')
      .addHelpText('after', INSPECT_EXAMPLES)
      .action((model: string, options: InspectCommandOptions) =>
        run(async () => (await import('./model-inspect.ts')).inspect(model, options, terminal)),
      ),
  );
  return model;
}

function dtypeOption(): Option {
  return new Option('--dtype <dtype>', 'variant of the graph [MODEL_DTYPE]').choices(DTYPES).default('fp32');
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It must be a number.');
}
