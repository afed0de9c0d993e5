import { ShoalError } from '@shoal/protocol';
import { z } from 'zod';
import { isInside } from '../model-files.ts';
import type { Hub } from './hub-options.ts';
import { refusalOf } from './hub-refusal.ts';
import { type HubModelId, isCommit } from './model-id.ts';
import { TransientError } from './retry.ts';

/** A file of a repository at one commit. */
export interface HubFile {
  path: string;
  size: number;
  /** Hex digest of its contents, which is also its name in the cache. */
  hash: string;
  /** Large files are known by SHA-256, the others as git knows them. */
  algorithm: 'sha256' | 'git-sha1';
}

const revisionAnswer = z.looseObject({ sha: z.string().refine(isCommit) });

const treeAnswer = z.array(
  z.looseObject({
    type: z.string(),
    path: z.string(),
    size: z.int().min(0).default(0),
    oid: z.string().regex(/^[0-9a-f]{40}$/),
    lfs: z.looseObject({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(0) }).nullish(),
  }),
);

/** Milliseconds within which a question must be answered in full. */
const ANSWER_TIMEOUT_MS = 30_000;
const LARGEST_JSON = 32 * 2 ** 20;
/** A thousand files a page. */
const MOST_PAGES = 50;

/**
 * The part of the hub's HTTP API that downloads need (https://huggingface.co/docs/hub/api). One try per call: whoever
 * calls decides about more.
 *
 * @throws TransientError, or ShoalError `model_not_found` with what to do
 */
export class HubClient {
  readonly #hub: Hub;
  readonly #id: HubModelId;
  readonly #signal: AbortSignal | undefined;

  constructor(hub: Hub, id: HubModelId, signal?: AbortSignal) {
    this.#hub = hub;
    this.#id = id;
    this.#signal = signal;
  }

  /** The commit that the id's revision stands for now. */
  async commit(): Promise<string> {
    const { repo, revision } = this.#id;
    const url = `${this.#hub.endpoint}/api/models/${repo}/revision/${encodeURIComponent(revision)}`;
    const response = await this.#get(url, {}, AbortSignal.timeout(ANSWER_TIMEOUT_MS));
    return this.#parse(revisionAnswer, await this.#json(response)).sha;
  }

  /** Every file of the repository. */
  async files(commit: string): Promise<HubFile[]> {
    let url: string | undefined = `${this.#hub.endpoint}/api/models/${this.#id.repo}/tree/${commit}?recursive=true`;
    const files: HubFile[] = [];
    for (let page = 0; url !== undefined; page++) {
      if (page === MOST_PAGES) throw new ShoalError('model_not_found', `${this.#id.repo}: too many files for a model`);
      const response: Response = await this.#get(url, {}, AbortSignal.timeout(ANSWER_TIMEOUT_MS));
      const entries = this.#parse(treeAnswer, await this.#json(response));
      for (const { type, path, size, oid, lfs } of entries) {
        // A path that leads out of the snapshot is nobody's model file.
        if (type !== 'file' || !isInside(path)) continue;
        if (lfs == null) files.push({ path, size, hash: oid, algorithm: 'git-sha1' });
        else files.push({ path, size: lfs.size, hash: lfs.oid, algorithm: 'sha256' });
      }
      url = this.#nextPage(response);
    }
    return files;
  }

  /**
   * The contents of a file from byte `from` on: 206, or 200 and everything where the server knows no ranges. `signal`
   * bounds how long that may take.
   */
  async content(commit: string, path: string, from: number, signal: AbortSignal): Promise<Response> {
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    const url = `${this.#hub.endpoint}/${this.#id.repo}/resolve/${commit}/${encoded}`;
    return this.#get(url, from === 0 ? {} : { range: `bytes=${from}-` }, signal);
  }

  /** `fetch` follows redirects, to storage elsewhere too, and takes the token along to the hub's own origin alone. */
  async #get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const { token } = this.#hub;
    let response: Response;
    try {
      response = await fetch(url, {
        headers: {
          // As it is stored, so that sizes and ranges are those of the file.
          'accept-encoding': 'identity',
          'user-agent': 'shoal',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        signal: this.#signal === undefined ? signal : AbortSignal.any([signal, this.#signal]),
      });
    } catch (cause) {
      this.#signal?.throwIfAborted();
      throw new TransientError(`${this.#hub.endpoint} cannot be reached (${reasonOf(cause)})`, { cause });
    }
    if (response.ok) return response;
    await response.body?.cancel().catch(() => {});
    throw refusalOf(response, this.#id, this.#hub);
  }

  async #json(response: Response): Promise<unknown> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of response.body ?? []) {
        size += chunk.byteLength;
        if (size > LARGEST_JSON) throw this.#notTheHub();
        chunks.push(chunk);
      }
    } catch (cause) {
      this.#signal?.throwIfAborted();
      if (cause instanceof ShoalError) throw cause;
      throw new TransientError(`${this.#hub.endpoint} broke off (${reasonOf(cause)})`, { cause });
    }
    try {
      return JSON.parse(Buffer.concat(chunks).toString('utf8'));
    } catch {
      throw this.#notTheHub();
    }
  }

  #parse<T>(schema: z.ZodType<T>, value: unknown): T {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw this.#notTheHub();
  }

  #notTheHub(): ShoalError {
    const message = `${this.#hub.endpoint}: the answer is not one of the hub's API; check HF_ENDPOINT`;
    return new ShoalError('model_not_found', message);
  }

  /** `Link: <url>; rel="next"`, on the hub's own origin: the token goes there. */
  #nextPage(response: Response): string | undefined {
    const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get('link') ?? '')?.[1];
    if (next === undefined) return undefined;
    if (!URL.canParse(next, this.#hub.endpoint)) throw this.#notTheHub();
    const url = new URL(next, this.#hub.endpoint);
    if (url.origin !== new URL(this.#hub.endpoint).origin) throw this.#notTheHub();
    return url.href;
  }
}

/** `fetch` says "fetch failed"; what failed is in its cause. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === 'AbortError' || cause.name === 'TimeoutError') return 'no answer in time';
  const inner = cause.cause instanceof Error ? cause.cause : cause;
  return 'code' in inner && typeof inner.code === 'string' ? inner.code : inner.message;
}
