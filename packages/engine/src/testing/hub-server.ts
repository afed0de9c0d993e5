import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** A repository of the server. */
export interface HubRepo {
  /** Branches and tags. */
  revisions: Record<string, string>;
  /** Contents by path; the same for every commit. */
  files: Map<string, Buffer>;
  /** Only this token may read it. */
  token?: string;
  /** The terms must be accepted first, which nobody has. */
  gated?: boolean;
}

/** What happens to one download of a file. */
export interface Mishap {
  /** The connection ends after so many bytes. */
  breakAfter?: number;
  /** Nothing more comes after so many bytes. */
  stallAfter?: number;
  /** Other bytes than were listed. */
  corrupt?: boolean;
  /** The range that was asked for is not heard. */
  ignoreRange?: boolean;
  status?: number;
  headers?: Record<string, string>;
}

export interface HubRequest {
  url: string;
  range: string | undefined;
  authorization: string | undefined;
  /** Which of the two origins was asked. */
  origin: 'hub' | 'storage';
}

export const COMMIT = 'c0ffee0000000000000000000000000000000001';

const PAGE = 3;

/**
 * A server that speaks the part of the hub's protocol that downloads need: revisions, the paginated tree with sizes and
 * hashes, files by redirect from a storage of another origin, ranges, tokens, and the errors that the hub gives.
 */
export class HubServer {
  readonly repos: Map<string, HubRepo> = new Map();
  readonly requests: HubRequest[] = [];
  /** The status of every answer, with a page that is none of the hub's: a proxy in front of it, for one. */
  refuses: number | undefined;
  /** Of the next downloads, by path. */
  readonly mishaps: Map<string, Mishap[]> = new Map();
  readonly #hub: Server;
  readonly #storage: Server;
  #urls = { hub: '', storage: '' };

  private constructor() {
    this.#hub = createServer((request, response) => this.#serveHub(request, response));
    this.#storage = createServer((request, response) => this.#serveStorage(request, response));
  }

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    const [hub, storage] = await Promise.all([listen(server.#hub), listen(server.#storage)]);
    server.#urls = { hub, storage };
    return server;
  }

  get url(): string {
    return this.#urls.hub;
  }

  /** Downloads that were served, by path. */
  get downloads(): string[] {
    return this.requests
      .filter(({ url }) => url.includes('/resolve/'))
      .map(({ url }) => url.split('/').slice(5).join('/'));
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #serveHub(request: IncomingMessage, response: ServerResponse): void {
    this.#note(request, 'hub');
    if (this.refuses !== undefined) {
      response.writeHead(this.refuses, { 'content-type': 'text/html' }).end('<html>Who are you?</html>');
      return;
    }
    const url = new URL(request.url ?? '/', this.url);
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(url.pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const name = api?.[1] ?? file?.[1] ?? '';
    const repo = this.repos.get(name);
    const given = request.headers.authorization;
    if (repo === undefined || (repo.token !== undefined && given !== `Bearer ${repo.token}`)) {
      // As the hub: what one may not see is as if it were not there.
      refuse(response, given === undefined || repo !== undefined ? 401 : 404, 'RepoNotFound');
      return;
    }
    const revision = decodeURIComponent(api?.[3] ?? file?.[2] ?? '');
    const known = Object.values(repo.revisions).includes(revision);
    const commit = known ? revision : repo.revisions[revision];
    if (commit === undefined) refuse(response, 404, 'RevisionNotFound');
    else if (api?.[2] === 'revision') answer(response, { id: name, sha: commit });
    else if (api !== null) this.#tree(repo, url, response);
    else this.#resolve({ repo, name, commit, path: decodeURIComponent(file?.[3] ?? '') }, request, response);
  }

  #resolve(
    { repo, name, commit, path }: { repo: HubRepo; name: string; commit: string; path: string },
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const contents = repo.files.get(path);
    if (repo.gated || contents === undefined) {
      refuse(response, repo.gated ? 403 : 404, repo.gated ? 'GatedRepo' : 'EntryNotFound');
      return;
    }
    response.setHeader('x-repo-commit', commit);
    if (!isLarge(path)) {
      this.#send(path, contents, request, response);
      return;
    }
    response.setHeader('x-linked-etag', `"${sha256(contents)}"`);
    response.writeHead(302, { location: `${this.#urls.storage}/${name}/${path}` }).end();
  }

  #serveStorage(request: IncomingMessage, response: ServerResponse): void {
    this.#note(request, 'storage');
    const [, org, name, ...path] = decodeURIComponent(request.url ?? '').split('/');
    const contents = this.repos.get(`${org}/${name}`)?.files.get(path.join('/'));
    if (contents === undefined) refuse(response, 404, 'EntryNotFound');
    else this.#send(path.join('/'), contents, request, response);
  }

  #tree(repo: HubRepo, url: URL, response: ServerResponse): void {
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const entries = [...repo.files].map(([path, contents]) => ({
      type: 'file',
      path,
      size: contents.byteLength,
      oid: gitHash(isLarge(path) ? Buffer.from(pointer(contents)) : contents),
      ...(isLarge(path) ? { lfs: { oid: sha256(contents), size: contents.byteLength, pointerSize: 134 } } : {}),
    }));
    const all = [{ type: 'directory', path: 'onnx', oid: '0'.repeat(40), size: 0 }, ...entries];
    if (start + PAGE < all.length) {
      url.searchParams.set('cursor', String(start + PAGE));
      response.setHeader('link', `<${url.href}>; rel="next"`);
    }
    answer(response, all.slice(start, start + PAGE));
  }

  #send(path: string, contents: Buffer, request: IncomingMessage, response: ServerResponse): void {
    const mishap = this.mishaps.get(path)?.shift() ?? {};
    if (mishap.status !== undefined) {
      response.writeHead(mishap.status, mishap.headers).end();
      return;
    }
    const asked = mishap.ignoreRange ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    const from = Number(asked ?? 0);
    const body = mishap.corrupt ? Buffer.alloc(contents.byteLength - from) : contents.subarray(from);
    response.setHeader('content-length', body.byteLength);
    response.setHeader('etag', `"${isLarge(path) ? sha256(contents) : gitHash(contents)}"`);
    if (asked === undefined) response.writeHead(200);
    else
      response.writeHead(206, { 'content-range': `bytes ${from}-${contents.byteLength - 1}/${contents.byteLength}` });
    if (mishap.breakAfter !== undefined) response.write(body.subarray(0, mishap.breakAfter), () => response.destroy());
    else if (mishap.stallAfter !== undefined) response.write(body.subarray(0, mishap.stallAfter));
    else response.end(body);
  }

  #note(request: IncomingMessage, origin: HubRequest['origin']): void {
    const { url = '', headers } = request;
    this.requests.push({ url, origin, range: headers.range, authorization: headers.authorization });
  }
}

/** A folder's files as those of a repository whose branch `main` is at {@link COMMIT}. */
export async function repoOf(folder: string, keep: (path: string) => boolean = () => true): Promise<HubRepo> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(folder.length + 1);
    if (entry.isFile() && keep(path)) files.set(path, await readFile(join(folder, path)));
  }
  return { revisions: { main: COMMIT }, files };
}

/** What lies in large file storage. */
function isLarge(path: string): boolean {
  return /\.(onnx|onnx_data\w*|data|bin)$/.test(path);
}

function pointer(contents: Buffer): string {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(contents)}\nsize ${contents.byteLength}\n`;
}

function sha256(contents: Buffer): string {
  return createHash('sha256').update(contents).digest('hex');
}

function gitHash(contents: Buffer): string {
  return createHash('sha1').update(`blob ${contents.byteLength}\0`).update(contents).digest('hex');
}

function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'x-error-code': code }).end(JSON.stringify({ error: code }));
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)),
  );
}
