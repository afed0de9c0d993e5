import type { OrtBackend, OrtBinding, OrtSession, OrtTensor } from '@shoal/ort';
import { Disposables } from '../disposables.ts';
import type { GraphSignature } from '../graph-signature.ts';
import { CacheTensors } from './cache-tensors.ts';
import { bindPast, bindPresent, type PassFeeds } from './pass-bindings.ts';
import type { RowCache } from './row-cache.ts';

export interface PrefillPass {
  ort: OrtBackend;
  session: OrtSession;
  signature: GraphSignature;
  cache: RowCache;
  /** Positions in front, in every row. */
  start: number;
  /** Positions computed, padding included. */
  steps: number;
  /** At most `steps` token ids each. */
  rows: readonly { slot: number; tokenIds: readonly number[] }[];
  run: (binding: OrtBinding) => Promise<void>;
  /** Told where the logits of each row's last token are: the `index`-th run of the vocabulary's size in a tensor. */
  keepLogits: (logits: OrtTensor, index: number, row: number) => void;
}

/** Computes token ids behind the caches of several rows, and adds their keys and values to these. */
export async function runPrefillPass(pass: PrefillPass): Promise<void> {
  const { ort, session, signature, cache, start, steps, rows } = pass;
  using own = new Disposables();
  const allocate = (length: number): CacheTensors => {
    const shape = [rows.length, signature.kvHeads, length, signature.headSize];
    const tensors = signature.layers.flatMap(() => [0, 1].map(() => own.use(ort.allocate(signature.cacheType, shape))));
    return new CacheTensors(length, tensors);
  };
  const past = allocate(start);
  for (const [row, { slot }] of rows.entries()) cache.load(slot, start, past, row);
  const present = allocate(start + steps);
  const binding = own.use(session.createBinding());
  bindPast(binding, signature, own.use(feedsOf(pass)), past);
  bindPresent(binding, signature, present);
  binding.bindOutput('logits');
  await pass.run(binding);
  for (const [row, { slot, tokenIds }] of rows.entries()) {
    cache.store(present, row, start, tokenIds.length, slot, start);
  }
  const logits = own.use(binding.output('logits'));
  for (const [row, { tokenIds }] of rows.entries()) {
    pass.keepLogits(logits, signature.logitsIndex ? row : row * steps + tokenIds.length - 1, row);
  }
}

/** Rows shorter than the pass are padded on the right, with hidden columns that nobody but they look at. */
function feedsOf({ ort, start, steps, rows }: PrefillPass): PassFeeds & Disposable {
  const width = start + steps;
  const feeds = {
    ids: ort.allocate('int64', [rows.length, steps]),
    mask: ort.allocate('int64', [rows.length, width]),
    positions: ort.allocate('int64', [rows.length, steps]),
    logitsIndex: ort.allocate('int64', [rows.length, 1]),
    useCache: ort.allocate('bool', [1]),
  };
  feeds.useCache.data[0] = start > 0 ? 1 : 0;
  for (const [row, { tokenIds }] of rows.entries()) {
    for (const [step, tokenId] of tokenIds.entries()) feeds.ids.data[row * steps + step] = BigInt(tokenId);
    for (let step = 0; step < steps; step++) feeds.positions.data[row * steps + step] = BigInt(start + step);
    feeds.mask.data.fill(1n, row * width, row * width + start + tokenIds.length);
    feeds.logitsIndex.data[row] = BigInt(tokenIds.length - 1);
  }
  const dispose = (): void => {
    for (const tensor of Object.values(feeds)) tensor.dispose();
  };
  return { ...feeds, [Symbol.dispose]: dispose };
}
