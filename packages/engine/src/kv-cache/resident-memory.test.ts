import { concatDecoder, DECODER_TINY, type DecoderOptions, decoder } from '@shoal/onnx-graph';
import { loadOrt, type OrtBackend, type OrtTensor } from '@shoal/ort';
import { expect, it } from 'vitest';
import { ContinuousScheduler } from '../continuous-scheduler.ts';
import { Engine } from '../engine.ts';
import { ConcatRunner } from '../model-runner/concat/concat-runner.ts';
import { readSignature } from '../model-runner/graph-signature.ts';
import { OrtRunner } from '../model-runner/ort-runner.ts';
import { backendWith } from '../testing/backend-with.ts';
import { BYTE_EOS, BYTE_VOCABULARY, byteTokenizer } from '../testing/byte-tokenizer.ts';
import { TestRandom } from '../testing/random.ts';
import { GREEDY, readAnswer } from '../testing/scripted-engine.ts';

const CONTEXT = 1024;
const [SLOTS, PREFIXES] = [4, 4];
const BUDGET = CONTEXT + 256;
const SHAPE: DecoderOptions = { ...DECODER_TINY, vocab: BYTE_VOCABULARY, maxLen: CONTEXT };
/** A page of 4 KiB holds so many positions of a head; of each row, one may be half full. */
const PAGE = 4096 / (4 * SHAPE.headDim);

/** Counts the positions that the cache holds in memory: pages that were given back are read as zeros. */
function watchSlabs(ort: OrtBackend): { watching: OrtBackend; resident: () => number } {
  const slabs: OrtTensor[] = [];
  const allocate: OrtBackend['allocate'] = (type, shape) => {
    const tensor = ort.allocate(type, shape);
    if (shape.length === 4 && shape[0] === SLOTS + PREFIXES && shape[2] === CONTEXT) slabs.push(tensor);
    return tensor;
  };
  const resident = (): number => {
    const [keys] = slabs;
    if (keys === undefined) throw new Error('no cache');
    let positions = 0;
    // Of each row's first head; the others have as many.
    for (let row = 0; row < SLOTS + PREFIXES; row++) {
      const start = row * SHAPE.kvHeads * CONTEXT;
      for (let at = start; at < start + CONTEXT; at++) if (keys.data[at * SHAPE.headDim] !== 0) positions += 1;
    }
    return positions;
  };
  return { watching: backendWith(ort, { allocate }), resident };
}

it.runIf(process.platform === 'linux' && process.arch === 'x64').each(['in-place', 'concat'] as const)(
  'keys and values in memory stay within the budget, whoever was in the rows before: %s',
  async (kind) => {
    const { watching: ort, resident } = watchSlabs(await loadOrt({ backend: 'capi' }));
    const session = await ort.createSession((kind === 'concat' ? concatDecoder : decoder)(SHAPE), {
      intraOpThreads: 1,
    });
    const signature = readSignature(session.inputs, session.outputs);
    const rows = { slots: SLOTS, prefixSlots: PREFIXES, maxLength: CONTEXT };
    const options = { ort, session, signature, ...rows, intraOpThreads: 1 };
    const runner = kind === 'concat' ? new ConcatRunner(options) : new OrtRunner(options);
    const scheduler = new ContinuousScheduler({
      maxBatchSize: SLOTS,
      maxQueueDelayMs: 0,
      maxBatchTokens: 256,
      budgetTokens: BUDGET,
      prefixSlots: PREFIXES,
    });
    const model = {
      maxModelLen: CONTEXT,
      vocabSize: BYTE_VOCABULARY,
      chat: false,
      revision: '',
      dtype: 'fp32',
      executionProvider: 'cpu',
      fingerprint: '',
      invariance: { batch: true, padding: true, chunk: true, replay: true },
    } as const;
    const parts = { model, tokenizer: byteTokenizer(), eosTokenIds: [BYTE_EOS], batching: 'continuous' } as const;
    const engine = new Engine({ ...parts, scheduler, runner });
    let most = 0;
    engine.observe((fact) => {
      if (fact.type === 'step') most = Math.max(most, resident());
    });
    const random = new TestRandom(9);
    const answers = Array.from({ length: 24 }, (_, i) => {
      // One that needs nearly all of the budget, and those that leave their rows to short ones.
      const length = i % 4 === 0 ? 900 : random.integer(5, 90);
      const maxTokens = random.integer(2, 40);
      const params = { ...GREEDY, ignoreEos: true, maxTokens };
      return readAnswer(engine.generate({ id: `r${i}`, promptTokenIds: random.tokens(length, 256), params }));
    });
    await Promise.all(answers);
    await engine.close();
    expect(most).toBeGreaterThan(900);
    expect(most).toBeLessThanOrEqual(BUDGET + (SLOTS + PREFIXES) * PAGE);
  },
  60_000,
);
