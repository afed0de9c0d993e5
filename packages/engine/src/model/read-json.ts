import { access, readFile } from 'node:fs/promises';
import { ShoalError } from '@shoal/protocol';
import type { z } from 'zod';

/** True for an error that says the file is not there. */
export function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** The model directory is unusable as it stands; `remedy` says what to do. */
export function modelFault(path: string, fault: string, remedy: string, cause?: unknown): ShoalError {
  return new ShoalError('model_not_found', `${path}: ${fault}; ${remedy}`, { cause });
}

export async function readText(path: string, remedy: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw modelFault(path, isMissing(cause) ? 'the file is missing' : 'the file cannot be read', remedy, cause);
  }
}

/** Reads and checks one of the model's JSON files; every failure is one line that names the file. */
export async function readJson<T>(path: string, schema: z.ZodType<T, unknown>, remedy: string): Promise<T> {
  const text = await readText(path, remedy);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw modelFault(path, 'the file is not valid JSON', remedy, cause);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw modelFault(path, `${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'unexpected'}`, remedy);
}
