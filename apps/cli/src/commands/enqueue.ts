import { type BatchOutcome, type ShoalClient, ShoalError, type ShoalRequest } from '@shoal/client';
import { Command, InvalidArgumentError } from 'commander';
import { answerJson } from '../answer-json.ts';
import type { Where } from '../connect.ts';
import type { WithClient } from '../program.ts';
import { ProgressBar } from '../progress-bar.ts';
import { readRequests } from '../prompts.ts';
import { EXIT, type Terminal, UsageError } from '../terminal.ts';

interface EnqueueOptions extends Where {
  file: string[];
  jsonl?: boolean;
  chat?: boolean;
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  seed?: number;
  stop: string[];
  priority?: number;
  timeoutMs?: number;
  concurrency: number;
  detach?: boolean;
  json?: boolean;
}

/** As the client's own bound. */
const MAX_CONCURRENCY = 1024;

const EXAMPLES = `
Examples:
  shoal enqueue --model minnow 'What is 47 + 38?' --chat
  seq 1 50 | sed 's/$/ + 1 =/' | shoal enqueue --model minnow --temperature 0 --json
  shoal enqueue --model minnow --file prompts.jsonl --detach

A line of JSONL is a string, or an object: {"prompt": "…", "maxTokens": 16, "temperature": 0}. With
--detach its "webhookUrl" is told of the job's end.`;

/** `shoal enqueue [PROMPT...]` */
export function enqueueCommand(terminal: Terminal, withClient: WithClient): Command {
  return new Command('enqueue')
    .description('Send prompts (arguments, files, or stdin, one a line) and print the answers as they end.')
    .argument('[prompt...]', 'prompts')
    .option('-f, --file <path>', 'read prompts from a file, one a line or as JSONL (.jsonl); repeatable', collect, [])
    .option('--jsonl', 'stdin and all files are JSONL')
    .option('--chat', 'send each prompt as the message of a user')
    .option('--max-tokens <n>', 'most tokens of an answer', number)
    .option('--temperature <t>', '0 is greedy', number)
    .option('--top-p <p>', 'nucleus mass', number)
    .option('--seed <n>', 'makes answers repeatable', number)
    .option('--stop <text>', 'text at which an answer ends; repeatable', collect, [])
    .option('--priority <p>', '0 is served first, 9 last', number)
    .option('--timeout-ms <ms>', 'after which an answer is worthless', number)
    .option('--concurrency <n>', `requests on their way at once, 1 to ${MAX_CONCURRENCY}`, concurrency, 64)
    .option('--detach', 'print the ids of the jobs, do not wait')
    .option('--json', 'print one JSON object per answer')
    .addHelpText('after', EXAMPLES)
    .action((prompts: string[], options: EnqueueOptions) =>
      withClient(options, (client) => {
        const requests = () => requestsOf(prompts, options, terminal);
        return options.detach
          ? detach(client, requests(), options, terminal)
          : answerAll(client, requests(), options, terminal);
      }),
    );
}

/** Every request, with the options of the command line where it has none of its own. */
async function* requestsOf(
  prompts: readonly string[],
  options: EnqueueOptions,
  { stdin, signal, env }: Terminal,
): AsyncGenerator<ShoalRequest, void, undefined> {
  const { maxTokens, temperature, topP, seed, stop, priority, timeoutMs } = options;
  const given = { maxTokens, temperature, topP, seed, priority, timeoutMs, ...(stop.length === 0 ? {} : { stop }) };
  const sources = { prompts, files: options.file, jsonl: options.jsonl === true, stdin, signal };
  for await (const { prompt, ...request } of readRequests(sources)) {
    const asked = options.chat && prompt !== undefined ? { messages: [userMessage(prompt)] } : { prompt };
    if ((request.model ?? options.model ?? env.SHOAL_MODEL) === undefined) {
      throw new UsageError('enqueue needs --model [SHOAL_MODEL], or a model in each line of JSONL; see shoal queues');
    }
    yield { ...given, ...asked, ...request };
  }
}

function userMessage(content: string): { role: 'user'; content: string } {
  return { role: 'user', content };
}

async function answerAll(
  client: ShoalClient,
  requests: AsyncIterable<ShoalRequest>,
  options: EnqueueOptions,
  { stdout, stderr, signal, clock }: Terminal,
): Promise<number> {
  const bar = stderr.isTTY ? new ProgressBar(stderr, clock) : undefined;
  let failed = false;
  const batch = client.submitBatch(requests, {
    signal,
    concurrency: options.concurrency,
    onProgress: (progress) => bar?.update(progress),
  });
  try {
    for await (const outcome of batch) {
      failed ||= outcome.error !== undefined;
      bar?.clear();
      if (options.json) stdout.write(`${JSON.stringify(lineOf(outcome))}\n`);
      else if (outcome.error === undefined) stdout.write(`${outcome.result.text.trim()}\n`);
      else stderr.write(failureLine(outcome.index, outcome.error));
    }
  } finally {
    bar?.end();
  }
  return failed ? EXIT.failed : EXIT.ok;
}

function lineOf({ index, id, result, error }: BatchOutcome): object {
  return answerJson({ index, id, result, error: error?.toBody() });
}

function failureLine(index: number, { code, message }: ShoalError): string {
  return `shoal: request ${index + 1}: ${code}: ${message}\n`;
}

/** One that is refused holds up none of the others, as where answers are waited for. */
async function detach(
  client: ShoalClient,
  requests: AsyncIterable<ShoalRequest>,
  { json }: EnqueueOptions,
  { stdout, stderr, signal }: Terminal,
): Promise<number> {
  let index = 0;
  let failed = false;
  for await (const request of requests) {
    try {
      const { id, status } = await client.submit(request, { signal });
      stdout.write(json ? `${JSON.stringify({ index, id, status })}\n` : `${id}\n`);
    } catch (error) {
      if (!(error instanceof ShoalError) || signal.aborted) throw error;
      failed = true;
      if (json) stdout.write(`${JSON.stringify(answerJson({ index, error: error.toBody() }))}\n`);
      else stderr.write(failureLine(index, error));
    }
    index += 1;
  }
  return failed || signal.aborted ? EXIT.failed : EXIT.ok;
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It must be a number.');
}

function concurrency(text: string): number {
  const value = number(text);
  if (Number.isInteger(value) && value >= 1 && value <= MAX_CONCURRENCY) return value;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_CONCURRENCY}.`);
}

function collect(value: string, values: string[]): string[] {
  return [...values, value];
}
