import { type OrtBackend, OrtError, type OrtSession, type OrtTensor } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import { Disposables } from './disposables.ts';
import { type GraphSignature, readSignature } from './graph-signature.ts';

export interface LoadGraphOptions {
  /** Path of the ONNX file. */
  graph: string;
  executionProvider: string;
  intraOpThreads: number;
}

export interface LoadedGraph {
  session: OrtSession;
  signature: GraphSignature;
}

/** Opens a decoder and reads its signature. Throws `model_not_found` with one line that names the file. */
export async function loadGraph(ort: OrtBackend, options: LoadGraphOptions): Promise<LoadedGraph> {
  const session = await openSession(ort, options);
  try {
    const signature = readSignature(session.inputs, session.outputs);
    await requireInPlace(ort, session, signature);
    return { session, signature };
  } catch (cause) {
    session.dispose();
    if (cause instanceof ShoalError) throw new ShoalError(cause.code, `${options.graph}: ${cause.message}`, { cause });
    throw cause;
  }
}

async function openSession(ort: OrtBackend, options: LoadGraphOptions): Promise<OrtSession> {
  try {
    return await ort.createSession(options.graph, {
      executionProviders: [{ name: options.executionProvider }],
      intraOpThreads: options.intraOpThreads,
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

/** Runs one token over a cache with room to spare: attention that works in place leaves its length as it was. */
async function requireInPlace(ort: OrtBackend, session: OrtSession, signature: GraphSignature): Promise<void> {
  const length = 4;
  using tensors = new Disposables();
  const int64 = (value: bigint): OrtTensor => {
    const tensor = tensors.use(ort.allocate('int64', [1, 1]));
    tensor.data[0] = value;
    return tensor;
  };
  const feeds: Record<string, OrtTensor> = { input_ids: int64(0n), attention_mask: int64(1n) };
  if (signature.positionIds) feeds.position_ids = int64(0n);
  if (signature.logitsIndex) feeds.logits_index = int64(0n);
  const shape = [1, signature.kvHeads, length, signature.headSize];
  for (const { pastKey, pastValue } of signature.layers) {
    for (const name of [pastKey, pastValue]) feeds[name] = tensors.use(ort.allocate(signature.cacheType, shape));
  }
  const present = signature.layers[0]?.presentKey ?? '';
  const kept = await session.run(feeds, [present]).then(
    (outputs) => tensors.use(outputs[present] as OrtTensor).shape[2] === length,
    () => false,
  );
  if (kept) return;
  const advice = 'export it with GroupQueryAttention (onnxruntime-genai or onnx-community do)';
  throw new ShoalError('model_not_found', `the model does not update its KV cache in place; ${advice}`);
}
