import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Kind } from './setting.ts';

/** A key that may call the API. The key itself is not kept, only its hash. */
export interface ApiKey {
  /** SHA-256 of the key, 64 hex digits. */
  readonly sha256: string;
  /** Whose key it is: `[A-Za-z0-9_-]{1,64}`. */
  readonly tenant: string;
  /** How many times the limits of a tenant are this one's, 1 … 1000. */
  readonly weight: number;
}

/** Owner of keys that name none. */
export const DEFAULT_TENANT = 'default';

const OWNER = /^(?<tenant>[A-Za-z0-9_-]{1,64})(?:\*(?<weight>[1-9]\d{0,2}|1000))?$/;
const PLAIN = /^[A-Za-z0-9._~+/=-]{8,256}$/;
const HASHED = /^[0-9a-f]{64}$/;

/** Parses one entry of `API_KEYS`: `[tenant[*weight]:]key` or `[tenant[*weight]:]sha256:hex`. */
function parseApiKey(entry: string): ApiKey | undefined {
  const parts = entry.split(':');
  const key = parts.pop() ?? '';
  const hashed = parts.at(-1) === 'sha256';
  if (hashed) parts.pop();
  if (parts.length > 1 || !(hashed ? HASHED : PLAIN).test(key)) return undefined;

  const owner = OWNER.exec(parts[0] ?? DEFAULT_TENANT)?.groups;
  if (owner?.tenant === undefined) return undefined;
  return {
    sha256: hashed ? key : createHash('sha256').update(key).digest('hex'),
    tenant: owner.tenant,
    weight: Number(owner.weight ?? 1),
  };
}

/** Keys separated by commas. */
export function apiKeys(): Kind<readonly ApiKey[]> {
  return {
    schema: z.string().transform((value, context) => {
      const keys = value.split(',').map((entry) => parseApiKey(entry.trim()));
      const valid = keys.filter((key) => key !== undefined);
      const distinct = new Set(valid.map((key) => key.sha256)).size;
      if (distinct < keys.length) context.addIssue({ code: 'custom', message: 'malformed or repeated key' });
      return Object.freeze(valid);
    }),
    expected:
      'distinct keys separated by commas, each [tenant[*weight]:]key with a key of 8 to 256 characters, or ' +
      '[tenant[*weight]:]sha256:hex',
  };
}
