import { type OrtBackend, OrtError, type OrtSession } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import type { GraphNames } from '../model/genai-config.ts';
import { withStandardNames } from '../model/standard-names.ts';
import type { Attention } from './attention-scratch.ts';
import { providerRow } from './execution-providers.ts';
import { type GraphSignature, readSignature } from './graph-signature.ts';
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
}

export interface LoadedGraph {
  session: OrtSession;
  signature: GraphSignature;
  cacheUpdate: CacheUpdate;
}

/** Opens a decoder and reads its signature. Throws `model_not_found` with one line that names the file. */
export async function loadGraph(ort: OrtBackend, options: LoadGraphOptions): Promise<LoadedGraph> {
  const opened = await openSession(ort, options);
  const session = options.names === undefined ? opened : withStandardNames(opened, options.names);
  try {
    const signature = readSignature(session.inputs, session.outputs);
    return { session, signature, cacheUpdate: await probeCacheUpdate(ort, session, signature) };
  } catch (cause) {
    session.dispose();
    if (cause instanceof ShoalError) throw new ShoalError(cause.code, `${options.graph}: ${cause.message}`, { cause });
    throw cause;
  }
}

async function openSession(ort: OrtBackend, options: LoadGraphOptions): Promise<OrtSession> {
  try {
    return await ort.createSession(options.graph, {
      executionProviders: providerRow(options.executionProvider).chain(options.deviceId ?? 0),
      intraOpThreads: options.intraOpThreads,
      attention: options.attention ?? 'tiled',
      // Spinning threads would eat the cores that queue I/O and the main thread need.
      spinning: false,
      // Prefills come in many shapes; patterns learnt for one do not fit the next.
      memoryPattern: false,
    });
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new ShoalError('model_not_found', `${options.graph}: cannot be loaded: ${reason}; ${remedy(cause)}`, {
      cause,
    });
  }
}

function remedy(cause: unknown): string {
  const code = cause instanceof OrtError ? cause.code : undefined;
  if (code === 'not_implemented') return 'choose another dtype: this runtime lacks an operator of the graph';
  if (code === 'ep_fail') return 'choose another execution provider, or install its libraries';
  return 'the file is corrupt or incomplete: download the model again';
}
