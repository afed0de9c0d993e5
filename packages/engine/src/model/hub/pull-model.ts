import { join } from 'node:path';
import { ShoalError } from '@shoal/protocol';
import type { ModelDtype } from '../../engine-options.ts';
import { GENAI_CONFIG, readGenaiConfig } from '../genai-config.ts';
import { findGraph } from '../model-files.ts';
import { readOnnxOutline } from '../onnx-outline.ts';
import { type BringOptions, bringFiles } from './bring-files.ts';
import { CachedModel } from './cached-model.ts';
import { chooseFiles, type Listing, listingOf, namedFiles } from './choose-files.ts';
import { diskFault } from './disk-fault.ts';
import { downloadBlob } from './download-blob.ts';
import { HubCache } from './hub-cache.ts';
import { HubClient } from './hub-client.ts';
import { type Hub, type HubOptions, resolveHub } from './hub-options.ts';
import type { HubModelId } from './model-id.ts';
import { type PullListener, PullMeter } from './pull-event.ts';
import { withRetries } from './retry.ts';

export interface PullOptions {
  /** Default `fp32`. */
  dtype?: ModelDtype | undefined;
  hub?: HubOptions | undefined;
  onEvent?: PullListener | undefined;
  signal?: AbortSignal | undefined;
}

/** What tests replace. */
export interface PullDependencies extends Pick<BringOptions, 'pause' | 'idleTimeoutMs' | 'freeBytes'> {
  /** A clock in milliseconds. */
  now?: (() => number) | undefined;
}

export interface PulledModel {
  /** The model as a directory, to load it from. */
  directory: string;
  commit: string;
}

/**
 * Brings the files of one variant of a model into the cache, as far as they are not there, and tells where they are.
 *
 * Without the network, and without asking at all where `id` names a commit or `offline` is set, it is the cache's word
 * alone. What the hub refuses, or does not have any more, costs a warning where a copy is complete.
 *
 * @throws ShoalError without a complete copy: `model_not_found` (no such model, revision or variant; access denied) or
 * `unavailable` (network, disk), with what to do
 */
export async function pullModel(
  id: HubModelId,
  options: PullOptions = {},
  dependencies: PullDependencies = {},
): Promise<PulledModel> {
  return new Pull(id, options, dependencies).run();
}

class Pull {
  readonly #id: HubModelId;
  readonly #dtype: ModelDtype;
  readonly #hub: Hub;
  readonly #cache: HubCache;
  readonly #cached: CachedModel;
  readonly #client: HubClient;
  readonly #tell: PullListener;
  readonly #signal: AbortSignal | undefined;
  readonly #dependencies: PullDependencies;
  readonly #meter: PullMeter;

  constructor(id: HubModelId, options: PullOptions, dependencies: PullDependencies) {
    const { dtype = 'fp32', onEvent = () => {}, signal } = options;
    this.#id = id;
    this.#dtype = dtype;
    this.#hub = resolveHub(options.hub ?? {});
    this.#cache = new HubCache(this.#hub.cacheDirectory, id.repo);
    this.#cached = new CachedModel(this.#cache, id, dtype);
    this.#client = new HubClient(this.#hub, id, signal);
    this.#tell = onEvent;
    this.#signal = signal;
    this.#dependencies = dependencies;
    this.#meter = new PullMeter(onEvent, dependencies.now ?? (() => performance.now()));
  }

  async run(): Promise<PulledModel> {
    const cached = await this.#cached.commit();
    const problem = await this.#cached.problemOf(cached);
    if (this.#hub.offline) {
      if (cached !== undefined && problem === undefined) return this.#pulled(cached);
      const message = `HF_HUB_OFFLINE is set, and ${problem}: pull the model once with the network`;
      throw new ShoalError('model_not_found', message);
    }
    if (this.#id.pinned && (await this.#cached.isComplete(this.#id.revision))) return this.#pulled(this.#id.revision);
    try {
      return await this.#fromHub(problem === undefined);
    } catch (cause) {
      this.#signal?.throwIfAborted();
      const fault = diskFault(cause, this.#cache.directory, 0) ?? cause;
      // A token that expired, access that was lost, a proxy's page: all that is about the hub, and the copy is as good.
      if (!(fault instanceof ShoalError) || cached === undefined || problem !== undefined) throw fault;
      const copy = `the copy in the cache, ${this.#id.repo} at commit ${cached.slice(0, 12)}`;
      this.#tell({ type: 'warning', message: `${fault.message}; using ${copy}` });
      return this.#pulled(cached);
    }
  }

  /** With a usable copy at hand a hub that does not answer is asked once. */
  async #fromHub(usable: boolean): Promise<PulledModel> {
    const commit = await this.#ask('the revision', () => this.#client.commit(), usable ? 1 : undefined);
    const files = await this.#ask('the list of files', () => this.#client.files(commit));
    await this.#download(commit, listingOf(files, this.#id.folder));
    if (!this.#id.pinned) await this.#cache.writeRef(this.#id.revision, commit);
    return this.#pulled(commit);
  }

  async #download(commit: string, listing: Listing): Promise<void> {
    const { repo, folder, revision } = this.#id;
    const genaiFile = await this.#genaiGraph(commit, listing);
    const place = `${repo}${folder && `/${folder}`}@${revision}`;
    const { descriptions, graph, data } = chooseFiles(listing, place, this.#dtype, genaiFile);
    const chosen = [...descriptions, graph, ...data];
    await bringFiles(chosen, this.#bringOptions(commit));
    const { externalData } = readOnnxOutline(join(this.#cache.snapshot(commit), graph.path));
    const named = namedFiles(listing, graph, externalData.keys(), folder);
    const rest = named.filter((file) => !chosen.includes(file));
    await bringFiles(rest, this.#bringOptions(commit));
    await this.#cached.markAbsent(commit, (name) => listing.has(name));
    // Names what the graph wants and the repository does not have.
    await findGraph(this.#cached.directory(commit), this.#dtype);
  }

  /** The graph that the repository's `genai_config.json` names: that file must be read before others are chosen. */
  async #genaiGraph(commit: string, listing: Listing): Promise<string | undefined> {
    const config = listing.get(GENAI_CONFIG);
    if (config === undefined) return undefined;
    if (!(await this.#cache.hasBlob(config))) {
      const unseen = new PullMeter(
        () => {},
        () => 0,
      );
      await downloadBlob(config, { ...this.#bringOptions(commit), meter: unseen });
    }
    await this.#cache.link(commit, config);
    return (await readGenaiConfig(this.#cached.directory(commit)))?.graph;
  }

  #ask<T>(what: string, question: () => Promise<T>, attempts?: number): Promise<T> {
    const [tell, signal, { pause }] = [this.#tell, this.#signal, this.#dependencies];
    return withRetries({ what: `${what} of ${this.#id.repo}`, tell, signal, pause, attempts }, question);
  }

  #bringOptions(commit: string): BringOptions {
    const [client, cache, meter, tell, signal] = [this.#client, this.#cache, this.#meter, this.#tell, this.#signal];
    return { repo: this.#id.repo, client, cache, commit, meter, tell, signal, ...this.#dependencies };
  }

  #pulled(commit: string): PulledModel {
    return { directory: this.#cached.directory(commit), commit };
  }
}
