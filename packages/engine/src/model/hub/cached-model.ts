import { join } from 'node:path';
import type { ModelDtype } from '../../engine-options.ts';
import { DESCRIPTIONS, findGraph } from '../model-files.ts';
import type { HubCache } from './hub-cache.ts';
import type { HubModelId } from './model-id.ts';

/** One variant of a model, as far as the cache has it. */
export class CachedModel {
  readonly #cache: HubCache;
  readonly #id: HubModelId;
  readonly #dtype: ModelDtype;

  constructor(cache: HubCache, id: HubModelId, dtype: ModelDtype) {
    this.#cache = cache;
    this.#id = id;
    this.#dtype = dtype;
  }

  directory(commit: string): string {
    return join(this.#cache.snapshot(commit), this.#id.folder);
  }

  /** The commit that the id stands for, as far as the cache knows. */
  async commit(): Promise<string | undefined> {
    return this.#id.pinned ? this.#id.revision : this.#cache.readRef(this.#id.revision);
  }

  /** What keeps the copy of a commit from being loaded; undefined for nothing. */
  async problemOf(commit: string | undefined): Promise<string | undefined> {
    if (commit === undefined) return `${this.#id.repo}@${this.#id.revision} is not in ${this.#cache.directory}`;
    try {
      await findGraph(this.directory(commit), this.#dtype);
    } catch (cause) {
      return cause instanceof Error ? cause.message : String(cause);
    }
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
      if (!(await this.#settled(commit, name))) return `${name} is not in the cache`;
    }
    return undefined;
  }

  /** Nothing that the repository might have is left to ask for: another tool may have fetched a part of it. */
  async isComplete(commit: string): Promise<boolean> {
    for (const name of DESCRIPTIONS) if (!(await this.#settled(commit, name))) return false;
    return (await this.problemOf(commit)) === undefined;
  }

  /** Remembers which of the files that a model may have this one does not. */
  async markAbsent(commit: string, has: (name: string) => boolean): Promise<void> {
    for (const name of DESCRIPTIONS) {
      if (!has(name)) await this.#cache.markAbsent(commit, this.#inFolder(name));
    }
  }

  #settled(commit: string, name: string): Promise<boolean> {
    return this.#cache.settled(commit, this.#inFolder(name));
  }

  #inFolder(name: string): string {
    return this.#id.folder === '' ? name : `${this.#id.folder}/${name}`;
  }
}
