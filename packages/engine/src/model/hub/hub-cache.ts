import { randomUUID } from 'node:crypto';
import { copyFile, link, mkdir, readFile, readlink, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { HubFile } from './hub-client.ts';
import { isCommit } from './model-id.ts';

/**
 * One model in the cache that Hugging Face's tools share
 * (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
 *
 * - `blobs/<hash>`: contents;
 * - `snapshots/<commit>/<path>`: links to them;
 * - `refs/<revision>`: the commit that a branch or tag was last seen at;
 * - `.no_exist/<commit>/<path>`: empty, for a file that the repository was found not to have.
 */
export class HubCache {
  readonly #directory: string;

  constructor(cacheDirectory: string, repo: string) {
    this.#directory = join(cacheDirectory, `models--${repo.replace('/', '--')}`);
  }

  get directory(): string {
    return this.#directory;
  }

  snapshot(commit: string): string {
    return join(this.#directory, 'snapshots', commit);
  }

  blob({ hash }: HubFile): string {
    return join(this.#directory, 'blobs', hash);
  }

  /** The commit that a revision was last seen at. */
  async readRef(revision: string): Promise<string | undefined> {
    const text = await readFile(this.#ref(revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if ((await this.readRef(revision)) === commit) return;
    await replace(this.#ref(revision), (path) => writeFile(path, commit));
  }

  async hasBlob(file: HubFile): Promise<boolean> {
    return (await sizeOf(this.blob(file))) === file.size;
  }

  /** What is there of a file until it is whole; of another name than Python's, which may download it as well. */
  partialPath(file: HubFile): string {
    return `${this.blob(file)}.shoal.incomplete`;
  }

  /** Bytes that an earlier download of a file got. */
  async partial(file: HubFile): Promise<number> {
    const size = (await sizeOf(this.partialPath(file))) ?? 0;
    return size <= file.size ? size : 0;
  }

  /** Makes the snapshot's path lead to the blob. */
  async link(commit: string, file: HubFile): Promise<void> {
    const path = join(this.snapshot(commit), file.path);
    const blob = this.blob(file);
    const target = relative(dirname(path), blob);
    // Not again: the cache may have come with an image, and be read-only.
    if ((await readlink(path).catch(() => '')) === target) return;
    await replace(path, async (temporary) => {
      try {
        await symlink(target, temporary);
      } catch {
        // Windows wants a privilege for symbolic links, and some file systems have none.
        await link(blob, temporary).catch(() => copyFile(blob, temporary));
      }
    });
  }

  /** Remembers that the repository does not have a file, so that nobody need ask again. */
  async markAbsent(commit: string, path: string): Promise<void> {
    if (await this.settled(commit, path)) return;
    await replace(this.#absence(commit, path), (temporary) => writeFile(temporary, ''));
  }

  /** True when the snapshot has the file, or the repository is known not to. */
  async settled(commit: string, path: string): Promise<boolean> {
    const sizes = [join(this.snapshot(commit), path), this.#absence(commit, path)].map(sizeOf);
    return (await Promise.all(sizes)).some((size) => size !== undefined);
  }

  #ref(revision: string): string {
    return join(this.#directory, 'refs', revision);
  }

  #absence(commit: string, path: string): string {
    return join(this.#directory, '.no_exist', commit, path);
  }
}

/** Bytes of the file that a path leads to; undefined where it leads nowhere. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

/** Makes a file beside its place and moves it there, so that nobody ever sees half of it. */
async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}`;
  await make(temporary);
  await rename(temporary, path);
}
