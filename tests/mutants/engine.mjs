// Breakages of the engine: slots, budget, determinism, ends of answers.

const ENGINE_TEST = 'packages/engine/src/engine.test.ts';
const SLOT_TEST = 'packages/engine/src/kv-cache/slot-table.test.ts';
const SLABS_TEST = 'packages/engine/src/kv-cache/kv-slabs.test.ts';
const SCHEDULER_TEST = 'packages/engine/src/continuous-scheduler.test.ts';
const SCHEDULER_FUZZ = 'packages/engine/src/continuous-scheduler.fuzz.test.ts';
const PREFILL_TEST = 'packages/engine/src/prefill-batch.test.ts';
const PREFIX_TEST = 'packages/engine/src/prefix-reuse.test.ts';
const SAMPLER_TEST = 'packages/engine/src/sampling/sampler.test.ts';

/** @type {import('../../scripts/mutants/list.mjs').Mutant[]} */
export const engineMutants = [
  {
    name: 'seed-position-off-by-one',
    breaks: 'The same answer: the random number of a token is that of (seed, choice, position).',
    file: 'packages/engine/src/sampling/sampler.ts',
    search: 'uniform(sequence.seed, sequence.choice, sequence.tokenIds.length, attempt)',
    replace: 'uniform(sequence.seed, sequence.choice, sequence.tokenIds.length + 1, attempt)',
    tests: [SAMPLER_TEST],
  },
  {
    name: 'choices-share-randomness',
    breaks: 'Several answers to one prompt are drawn independently.',
    file: 'packages/engine/src/sampling/sampler.ts',
    search: 'uniform(sequence.seed, sequence.choice, sequence.tokenIds.length, attempt)',
    replace: 'uniform(sequence.seed, 0, sequence.tokenIds.length, attempt)',
    tests: [SAMPLER_TEST],
  },
  {
    name: 'slot-freed-twice',
    breaks: 'A row of the cache has one owner.',
    file: 'packages/engine/src/kv-cache/slot-table.ts',
    search: '    this.#rows.pop();\n',
    replace: '    this.#rows.pop();\n    this.#rows.pop();\n',
    tests: [SLOT_TEST],
  },
  {
    name: 'row-in-use-given-back',
    breaks: 'Only rows that nobody owns give their memory back.',
    file: 'packages/engine/src/kv-cache/slot-table.ts',
    search: 'this.#freed.filter((slot) => slot >= this.#rows.length)',
    replace: 'this.#freed.filter((slot) => slot >= 0)',
    tests: [SLOT_TEST],
  },
  {
    name: 'row-moved-too-short',
    breaks: 'The same answer: a row that moves takes all of its positions along.',
    file: 'packages/engine/src/kv-cache/slot-table.ts',
    search: 'this.#moves.push({ from, to, length: moved.computed });',
    replace: 'this.#moves.push({ from, to, length: moved.computed - 1 });',
    tests: [SLOT_TEST, SCHEDULER_TEST],
  },
  {
    name: 'tail-of-a-row-kept',
    breaks: 'Bounded: a short row that moves over a long one leaves nothing of it in memory.',
    file: 'packages/engine/src/kv-cache/kv-slabs.ts',
    search: '    this.giveBack(to, positions);\n',
    replace: '',
    tests: [SLABS_TEST],
  },
  {
    name: 'row-begun-on-the-old-one',
    breaks: 'Bounded: a prompt that begins in a row leaves nothing of a longer one in memory.',
    file: 'packages/engine/src/kv-cache/kv-slabs.ts',
    search: 'if (past === 0) this.giveBack(row, total);',
    replace: 'if (past < 0) this.giveBack(row, total);',
    tests: [SLABS_TEST],
  },
  {
    name: 'budget-off-by-one-at-a-step',
    breaks: 'Bounded: a decode step runs within the budget of the cache.',
    file: 'packages/engine/src/kv-cache/cache-ledger.ts',
    search: 'while (this.usedTokens > this.#budgetTokens)',
    replace: 'while (this.usedTokens > this.#budgetTokens + 1)',
    tests: [SCHEDULER_FUZZ],
  },
  {
    name: 'budget-off-by-one-at-admission',
    breaks: 'Bounded: who is admitted fits the budget, with room to grow.',
    file: 'packages/engine/src/admission.ts',
    search: 'neededTokens + headroom <= snapshot.budgetTokens',
    replace: 'neededTokens + headroom <= snapshot.budgetTokens + 1',
    tests: [PREFILL_TEST],
  },
  {
    name: 'preempts-the-oldest',
    breaks: 'Whoever came first finishes: the youngest gives up its place.',
    file: 'packages/engine/src/kv-cache/cache-ledger.ts',
    search: '(row.ordinal > young.ordinal ? row : young)',
    replace: '(row.ordinal < young.ordinal ? row : young)',
    tests: [SCHEDULER_TEST],
  },
  {
    name: 'prefix-across-tenants',
    breaks: 'Prefixes are never shared across tenants.',
    file: 'packages/engine/src/kv-cache/prefix-store.ts',
    search: 'if (stored.tenant === sequence.tenant) offer(',
    replace: 'if (stored.slot >= 0) offer(',
    tests: [PREFIX_TEST],
  },
  {
    name: 'prefix-leaves-one-token',
    breaks: 'The same answer: a prefix that is reused leaves two tokens to compute, as one takes another kernel.',
    file: 'packages/engine/src/kv-cache/prefix-store.ts',
    search: 'const LEFT_TO_COMPUTE = 2;',
    replace: 'const LEFT_TO_COMPUTE = 1;',
    tests: [PREFIX_TEST],
  },
  {
    name: 'stop-string-one-token-late',
    breaks: 'An answer ends with the token that completes a stop string.',
    file: 'packages/engine/src/sequence.ts',
    search: "    const text = ends ? '' : this.text.push(token, !early);\n    if (ends || this.text.stopped)",
    replace:
      "    const stopped = this.text.stopped;\n    const text = ends ? '' : this.text.push(token, !early);\n    if (ends || stopped)",
    tests: [ENGINE_TEST],
  },
  {
    name: 'stop-string-split-by-tokens-missed',
    breaks: 'A stop string is met however it falls on tokens.',
    file: 'packages/engine/src/tokenizer/stop-checker.ts',
    search: 'const seen = this.#held + text;',
    replace: "const seen = this.#held === '' ? text : this.#held.slice(1) + text;",
    tests: ['packages/engine/src/tokenizer/text-assembler.test.ts'],
  },
  {
    name: 'one-token-too-many',
    breaks: 'Bounded: an answer has at most maxTokens.',
    file: 'packages/engine/src/sequence.ts',
    search: 'else if (this.tokenIds.length >= this.maxNewTokens)',
    replace: 'else if (this.tokenIds.length > this.maxNewTokens)',
    tests: [ENGINE_TEST],
  },
  {
    name: 'chunk-tail-of-one-token',
    breaks: 'The same answer: no prefill pass computes one token alone.',
    file: 'packages/engine/src/prefill-batch.ts',
    search: 'if (remaining - chunk !== 1) return',
    replace: 'if (remaining - chunk !== -1) return',
    tests: [PREFILL_TEST],
  },
  {
    name: 'replay-by-prefill',
    breaks: 'The same answer: logged tokens are replayed as forced decode steps, which alone are bit-identical.',
    file: 'packages/engine/src/answer.ts',
    search: 'if (fast) for (const sequence of this.#sequences) sequence.prefillAll();',
    replace: 'if (fast || tokenIds.length > 0) for (const sequence of this.#sequences) sequence.prefillAll();',
    tests: [ENGINE_TEST],
  },
  {
    name: 'lone-row-of-4-bit-weights-bare',
    breaks: 'The same answer: a lone row of quantised weights gets company, so that it is computed as in a batch.',
    file: 'packages/engine/src/model-runner/ort-runner.ts',
    search: '    if (this.#leavesLoneRow(tokenIds.length)) {\n',
    replace: '    if (tokenIds.length === 0) {\n',
    tests: [
      'packages/engine/src/model-runner/probe-invariance.test.ts',
      'packages/engine/src/model-runner/lone-row.test.ts',
    ],
  },
  {
    name: 'aborted-keeps-its-row',
    breaks: 'Cancelled means stopped: the row is free at the next step.',
    file: 'packages/engine/src/engine.ts',
    search: '    for (const answer of this.#aborted) if (this.#open.has(answer)) this.#finish(answer);\n',
    replace: '',
    tests: [ENGINE_TEST],
    only: 'aborting',
  },
  {
    name: 'several-start-cut',
    breaks: 'Rows finish their prefill in slot order.',
    file: 'packages/engine/src/continuous-scheduler.ts',
    search: 'const rows = batch.length > 1 ? batch.map(wholePrompt) : batch.map(',
    replace: 'const rows = batch.map(',
    tests: [SCHEDULER_TEST],
  },
  {
    name: 'fork-before-begun',
    breaks: 'A choice is not copied into a row behind prompts whose prefill is not over.',
    file: 'packages/engine/src/kv-cache/cache-ledger.ts',
    search: 'if (this.begun !== undefined) return false;',
    replace: '',
    tests: [SCHEDULER_FUZZ],
  },
];
