import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { ShoalRequest } from '@shoal/client';
import { SamplingParams } from '@shoal/protocol';
import { z } from 'zod';
import { UsageError } from './terminal.ts';

export interface PromptSources {
  /** Given on the command line. */
  prompts: readonly string[];
  /** Paths; `.jsonl` is read as JSONL, everything else by line. `-` is stdin. */
  files: readonly string[];
  /** Whether stdin holds JSONL. */
  jsonl: boolean;
  stdin: Readable & { readonly isTTY?: boolean };
  /** Ends the reading when aborted. */
  signal: AbortSignal;
}

/**
 * The requests, read as they are needed. Empty lines are skipped.
 * Throws `UsageError` for a file that cannot be read or a line that is no request.
 */
export async function* readRequests(sources: PromptSources): AsyncGenerator<ShoalRequest, void, undefined> {
  const { prompts, files, jsonl, stdin, signal } = sources;
  for (const prompt of prompts) yield { prompt };
  const inputs = prompts.length === 0 && files.length === 0 ? ['-'] : files;
  for (const path of inputs) {
    if (path === '-' && stdin.isTTY && prompts.length === 0) {
      throw new UsageError('give prompts as arguments, in a --file, or on stdin; see shoal enqueue --help');
    }
    const input = path === '-' ? stdin : await openFile(path);
    const name = path === '-' ? 'stdin' : path;
    const asJson = path === '-' ? jsonl : jsonl || /\.(jsonl|ndjson)$/.test(path);
    yield* requestsIn(linesOf(input, name, signal), { name, asJson });
  }
}

async function openFile(path: string): Promise<Readable> {
  try {
    return (await open(path)).createReadStream();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(name: string, error: unknown): UsageError {
  const code = error instanceof Error && 'code' in error ? error.code : 'unknown error';
  return new UsageError(`${name}: cannot be read (${code})`);
}

/** A folder can be opened like a file, and a disk can fail in the middle of one: then the reading does. */
async function* linesOf(input: Readable, name: string, signal: AbortSignal): AsyncGenerator<string, void, undefined> {
  try {
    yield* createInterface({ input, signal, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw unreadable(name, error);
  }
}

async function* requestsIn(
  lines: AsyncIterable<string>,
  { name, asJson }: { name: string; asJson: boolean },
): AsyncGenerator<ShoalRequest> {
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() === '') continue;
    yield asJson ? requestOf(line, `${name}:${number}`) : { prompt: line };
  }
}

const MESSAGES = z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() }));

/** A line of JSONL: a prompt, or a request in the client's words. Ranges are the server's to check. */
const Line = z.union([
  z.string().transform((prompt) => ({ prompt })),
  z.looseObject({
    prompt: z.string().optional(),
    messages: MESSAGES.optional(),
    chatTemplateKwargs: z.record(z.string(), z.unknown()).optional(),
    promptTokenIds: z.array(z.int()).optional(),
    model: z.string().optional(),
    priority: z.int().optional(),
    timeoutMs: z.int().optional(),
    webhookUrl: z.string().optional(),
    askedAt: z.number().optional(),
  }),
]);

function requestOf(line: string, place: string): ShoalRequest {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    throw new UsageError(`${place}: not JSON`);
  }
  const parsed = Line.safeParse(json);
  if (!parsed.success) throw new UsageError(`${place}: must be a string, or an object with prompt or messages`);
  const { prompt, messages, chatTemplateKwargs, promptTokenIds, ...others } = parsed.data as ShoalRequest;
  const { model, priority, timeoutMs, webhookUrl, askedAt, ...rest } = others;
  const params = SamplingParams.safeParse(rest);
  if (!params.success) {
    const [issue] = params.error.issues;
    throw new UsageError(`${place}: ${issue?.path.join('.')} ${issue?.message}`.replace(':  ', ': '));
  }
  // What the line leaves out stays out, so that options of the command line can fill it in.
  return parsed.data as ShoalRequest;
}
