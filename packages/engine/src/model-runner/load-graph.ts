import { type OrtBackend, OrtError, type OrtSession } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import type { GraphNames } from '../model/genai-config.ts';
import { withStandardNames } from '../model/standard-names.ts';
import type { Attention } from './attention-scratch.ts';
import { providerRow } from './execution-providers.ts';
import { type GraphSignature, readSignature } from './graph-signature.ts';
import { type MixedGraph, readMixedGraph } from './mixed/mixed-graph.ts';
import { type CacheUpdate, probeCacheUpdate } from './probe-cache-update.ts';

export interface LoadGraphOptions {
  /** Path of the ONNX file. */
  graph: string;
  /** How the graph calls what it takes and gives, where that is not the standard. */
  names?: GraphNames | undefined;
  executionProvider: string;
  /** Which GPU. Default 0. */
  deviceId?: number | undefined;
  intraOpThreads: number;
  /** Which kernel computes attention on the CPU. */
  attention?: Attention | undefined;
  /** Whether to make a session for mixed passes, too, where the graph and the runtime allow it. Default false. */
  mixed?: boolean | undefined;
}

export interface LoadedGraph {
  session: OrtSession;
  signature: GraphSignature;
  cacheUpdate: CacheUpdate;
  /** Of the same weights, for decode steps that carry a chunk of a prompt. */
  mixedSession?: OrtSession | undefined;
}

/** Opens a decoder and reads its signature. Throws `model_not_found` with one line that names the file. */
export async function loadGraph(ort: OrtBackend, options: LoadGraphOptions): Promise<LoadedGraph> {
  using mixed = options.mixed === true ? await readMixedGraph(ort, options.graph) : undefined;
  const opened = await openSession(ort, options, options.graph, mixed);
  const session = options.names === undefined ? opened : withStandardNames(opened, options.names);
  try {
    const signature = readSignature(session.inputs, session.outputs);
    const cacheUpdate = await probeCacheUpdate(ort, session, signature);
    // Its inputs are called as in the file.
    const mixes = cacheUpdate === 'in-place' && session === opened;
    const mixedSession = mixes && mixed ? await openMixed(ort, options, mixed) : undefined;
    mixed?.weights.settle();
    return { session, signature, cacheUpdate, mixedSession };
  } catch (cause) {
    session.dispose();
    if (cause instanceof ShoalError) throw new ShoalError(cause.code, `${options.graph}: ${cause.message}`, { cause });
    throw cause;
  }
}

async function openSession(
  ort: OrtBackend,
  options: LoadGraphOptions,
  model: string | Uint8Array,
  mixed: MixedGraph | undefined,
): Promise<OrtSession> {
  try {
    return await ort.createSession(model, {
      executionProviders: providerRow(options.executionProvider).chain(options.deviceId ?? 0),
      intraOpThreads: options.intraOpThreads,
      attention: options.attention ?? 'tiled',
      // Spinning threads would eat the cores that queue I/O and the main thread need.
      spinning: false,
      // Prefills come in many shapes; patterns learnt for one do not fit the next.
      memoryPattern: false,
      ...(mixed && { sharedWeights: mixed.weights }),
      // A path says itself where the files beside it are.
      ...(mixed && typeof model !== 'string' && { externalDataFolder: mixed.folder }),
    });
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new ShoalError('model_not_found', `${options.graph}: cannot be loaded: ${reason}; ${remedy(cause)}`, {
      cause,
    });
  }
}

/** Undefined where the runtime does not take the graph: chunks of prompts then go alone. */
async function openMixed(
  ort: OrtBackend,
  options: LoadGraphOptions,
  mixed: MixedGraph,
): Promise<OrtSession | undefined> {
  try {
    return await openSession(ort, options, mixed.graph, mixed);
  } catch (cause) {
    if (cause instanceof ShoalError) return undefined;
    throw cause;
  }
}

function remedy(cause: unknown): string {
  const code = cause instanceof OrtError ? cause.code : undefined;
  if (code === 'not_implemented') return 'choose another dtype: this runtime lacks an operator of the graph';
  if (code === 'ep_fail') return 'choose another execution provider, or install its libraries';
  return 'the file is corrupt or incomplete: download the model again';
}
