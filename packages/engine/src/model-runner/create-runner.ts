import { type OrtBackend, OrtError } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import type { CacheRows } from '../kv-cache/cache-rows.ts';
import { DeviceSlabs } from '../kv-cache/device-slabs.ts';
import { ConcatRunner } from './concat/concat-runner.ts';
import { MOST_PADDING } from './concat/pass-shapes.ts';
import { settlePadding } from './concat/settle-padding.ts';
import type { ProviderRow } from './execution-providers.ts';
import type { LoadedGraph } from './load-graph.ts';
import type { ModelRunner } from './model-runner.ts';
import { OrtRunner, rowsOfCache } from './ort-runner.ts';

export interface RunnerOptions {
  ort: OrtBackend;
  provider: ProviderRow;
  /** Which GPU. */
  deviceId: number;
  slots: number;
  prefixSlots: number;
  maxLength: number;
  /** Positions that the model was built for. */
  contextLength: number;
  /** Whether its attention looks back only so far; then nothing may stand between a cache and a new position. */
  slidingWindow: boolean;
  intraOpThreads: number;
}

/** A runner, and what of its ways decides the bits. */
export interface TunableRunner extends ModelRunner {
  /** Gives a lone decoding row company: kernels of quantised weights may compute one row in another way than several. */
  padsLoneRow: boolean;
  /** How a run deals with the cache, in one word or two: part of the numerics fingerprint. */
  readonly cachePath: string;
  mixed?: ModelRunner['mixed'];
}

/** The runner for what the graph does with its cache, and for where the provider wants the cache to lie. */
export async function createRunner(loaded: LoadedGraph, options: RunnerOptions): Promise<TunableRunner> {
  if (loaded.cacheUpdate === 'concat') {
    const runner = new ConcatRunner({ ...options, ...loaded });
    if (options.slidingWindow) runner.padsCache = false;
    await settlePadding(runner);
    return runner;
  }
  return new OrtRunner({ ...options, ...loaded, cache: await deviceCache(loaded, options) });
}

async function deviceCache(loaded: LoadedGraph, options: RunnerOptions): Promise<CacheRows | undefined> {
  const { provider, ort, deviceId, intraOpThreads, maxLength } = options;
  if (provider.cacheMemory === undefined || !ort.capabilities.deviceMemory) return undefined;
  try {
    return await DeviceSlabs.create({
      ort,
      session: loaded.session,
      signature: loaded.signature,
      slots: rowsOfCache(options),
      length: maxLength,
      location: { name: provider.cacheMemory, deviceId },
      sessionOptions: { executionProviders: provider.chain(deviceId), intraOpThreads },
    });
  } catch (cause) {
    if (!(cause instanceof OrtError) || cause.code !== 'out_of_memory') throw cause;
    const fault = `keys and values do not fit the memory of ${provider.name} device ${deviceId}`;
    throw new ShoalError('invalid_request_error', `${fault}: lower kvCacheMb, maxBatchSize or maxModelLen`, { cause });
  }
}

/** What the cache takes besides the rows themselves. */
export interface CacheOverhead {
  /** Copies of each position that may exist at once, the rows' own included. */
  copies: number;
  /** Positions of padding for each sequence that runs, in all copies but the rows' own. */
  padding: number;
}

export function cacheOverhead(loaded: LoadedGraph, provider: ProviderRow): CacheOverhead {
  // What a pass is given, and what it gives.
  if (loaded.cacheUpdate === 'concat') return { copies: 3, padding: MOST_PADDING };
  // A prefill computes into tensors of its own.
  if (provider.cacheMemory !== undefined) return { copies: 2, padding: 0 };
  return { copies: 1, padding: 0 };
}
