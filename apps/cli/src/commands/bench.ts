import { Command, InvalidArgumentError } from 'commander';
import { apiAddressOf, apiOptions, type WhereApi } from '../connect.ts';
import { reportOf, reportText } from '../load/load-report.ts';
import { runLoad } from '../load/run-load.ts';
import { send, type Target } from '../load/send.ts';
import type { RunCommand } from '../program.ts';
import { ProgressBar } from '../progress-bar.ts';
import { readRequests } from '../prompts.ts';
import { EXIT, type Terminal, UsageError } from '../terminal.ts';

interface BenchOptions extends WhereApi {
  requests: number;
  concurrency: number;
  rate?: number;
  prompt: string[];
  prompts: string[];
  maxTokens: number;
  temperature: number;
  stream: boolean;
  json?: boolean;
}

const PROMPT = 'Once upon a time';

const DETAILS = `
Examples:
  shoal bench --model minnow --requests 200 --concurrency 16
  shoal bench --model minnow --rate 20 --prompts prompts.txt --json

Prompts are taken in turn. Callers, network and service are measured together, on this machine: a first run warms all up.
Times are from the sending of a request; first token and inter-token need a stream. Answers are always generated anew.

Exit codes: 0 all were answered, 1 a request failed or Ctrl-C, 2 the command line or an input is wrong.`;

/** `shoal bench` */
export function benchCommand(terminal: Terminal, run: RunCommand): Command {
  const command = new Command('bench')
    .description('Send a small load to the API, and tell throughput, latencies and errors.')
    .option('-n, --requests <n>', 'requests in all', wholeNumber, 100)
    .option('-c, --concurrency <n>', 'requests on their way at once', wholeNumber, 8)
    .option('-r, --rate <n>', 'send so many a second instead, whatever is on its way', positive)
    .option('--prompt <text>', `prompt; repeatable (default: "${PROMPT}")`, collect, [])
    .option('--prompts <file>', 'read prompts from a file, one a line or as JSONL (.jsonl); repeatable', collect, [])
    .option('--max-tokens <n>', 'most tokens of an answer', wholeNumber, 64)
    .option('--temperature <t>', '0 is greedy', notNegative, 0)
    .option('--stream', 'ask for streams', true)
    .option('--no-stream', 'ask for whole answers')
    .option('--json', 'print one JSON object')
    .addHelpText('after', DETAILS)
    .action((options: BenchOptions) => run(() => bench(options, terminal)));
  for (const option of apiOptions(terminal.env)) command.addOption(option);
  return command;
}

async function bench(options: BenchOptions, terminal: Terminal): Promise<number> {
  const { env, signal, clock, stderr, stdout } = terminal;
  const address = apiAddressOf(options, env);
  const { model = env.SHOAL_MODEL, requests, concurrency, rate } = options;
  if (model === undefined) throw new UsageError('bench needs --model; see shoal queues');
  const prompts = await promptsOf(options, terminal);
  const { maxTokens, temperature, stream } = options;
  const target: Target = { ...address, model, maxTokens, temperature, stream };
  const bar = stderr.isTTY ? new ProgressBar(stderr, clock) : undefined;
  const progress = { total: requests, submitted: 0, completed: 0, failed: 0, tokens: 0 };
  const all = await runLoad(
    { requests, concurrency, ...(rate === undefined ? {} : { perSecond: rate }) },
    (index) => send(target, prompts[index % prompts.length] ?? PROMPT, { signal, clock }),
    signal,
    ({ error, tokens }) => {
      progress.submitted += 1;
      progress[error === undefined ? 'completed' : 'failed'] += 1;
      progress.tokens += tokens;
      bar?.update({ ...progress });
    },
  );
  bar?.end();
  const report = reportOf(all, options);
  stdout.write(options.json ? `${JSON.stringify(report)}\n` : reportText(report));
  return report.completed === requests ? EXIT.ok : EXIT.failed;
}

async function promptsOf({ prompt, prompts: files }: BenchOptions, { stdin, signal }: Terminal): Promise<string[]> {
  const prompts = [...prompt];
  if (files.length > 0) {
    for await (const request of readRequests({ prompts: [], files, jsonl: false, stdin, signal })) {
      if (request.prompt === undefined) throw new UsageError('bench takes lines with a prompt, not with messages');
      prompts.push(request.prompt);
    }
    if (prompts.length === 0) throw new UsageError(`${files.join(', ')}: holds no prompt`);
  }
  return prompts.length === 0 ? [PROMPT] : prompts;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('It must be a whole number from 1 on.');
}

function positive(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}

function notNegative(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError('It must be a number from 0 on.');
}

function collect(value: string, values: string[]): string[] {
  return [...values, value];
}
