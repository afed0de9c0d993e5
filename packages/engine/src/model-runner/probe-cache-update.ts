import type { OrtBackend, OrtSession, OrtTensor } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import { Disposables } from './disposables.ts';
import type { GraphSignature } from './graph-signature.ts';

/**
 * What a run does with the cache. `in-place`: new positions are written into the memory given (GroupQueryAttention, as
 * onnxruntime-genai and onnx-community export it). `concat`: a longer copy comes out (Optimum's exports).
 */
export type CacheUpdate = 'in-place' | 'concat';

/** Columns of the cache that the probe runs over. */
const LENGTH = 4;

/**
 * Runs one token to find out; names tell nothing.
 *
 * @throws ShoalError `model_not_found` when the graph does neither
 */
export async function probeCacheUpdate(
  ort: OrtBackend,
  session: OrtSession,
  signature: GraphSignature,
): Promise<CacheUpdate> {
  // A cache of one position, with room to spare.
  const kept = await presentLength(ort, session, signature, { maskWidth: 1, position: 0 });
  if (kept === LENGTH) return 'in-place';
  const grown = await presentLength(ort, session, signature, { maskWidth: LENGTH + 1, position: LENGTH });
  if (grown === LENGTH + 1) return 'concat';
  const outcome = [kept, grown].map((length) => (typeof length === 'number' ? `${length} positions` : length.message));
  const fault = `one token over a cache of ${LENGTH} positions gave neither the same length nor one more`;
  const advice = 'export it with GroupQueryAttention (onnxruntime-genai or onnx-community do), or with Optimum';
  throw new ShoalError('model_not_found', `the model's KV cache cannot be used: ${fault} (${outcome}); ${advice}`);
}

async function presentLength(
  ort: OrtBackend,
  session: OrtSession,
  signature: GraphSignature,
  { maskWidth, position }: { maskWidth: number; position: number },
): Promise<number | Error> {
  using tensors = new Disposables();
  const int64 = (value: number, width = 1): OrtTensor => {
    const tensor = tensors.use(ort.allocate('int64', [1, width]));
    tensor.data.fill(BigInt(value));
    return tensor;
  };
  const feeds: Record<string, OrtTensor> = { input_ids: int64(0), attention_mask: int64(1, maskWidth) };
  if (signature.positionIds) feeds.position_ids = int64(position);
  if (signature.logitsIndex) feeds.logits_index = int64(0);
  if (signature.useCacheBranch) {
    const useCache = tensors.use(ort.allocate('bool', [1]));
    useCache.data[0] = 1;
    feeds.use_cache_branch = useCache;
  }
  const shape = [1, signature.kvHeads, LENGTH, signature.headSize];
  for (const { pastKey, pastValue } of signature.layers) {
    for (const name of [pastKey, pastValue]) feeds[name] = tensors.use(ort.allocate(signature.cacheType, shape));
  }
  const present = signature.layers[0]?.presentKey ?? '';
  try {
    const outputs = await session.run(feeds, [present]);
    return tensors.use(outputs[present] as OrtTensor).shape[2] ?? 0;
  } catch (cause) {
    return new Error(cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause));
  }
}
