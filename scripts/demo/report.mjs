// What the demo shows: answers as they arrive, then what was batched with what.
import {
  bold,
  CROSS,
  columns,
  cyan,
  dim,
  interactive,
  pad,
  red,
  say,
  shorten,
  TICK,
  table,
} from '../console/terminal.mjs';

/** @typedef {import('./client.mjs').Answer} Answer */

const FRAMES = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';
const REDRAW_MS = 80;
const FAMILY_WIDTH = 12;

/** Finished answers scroll by; on a terminal the bottom line shows the one that is being written. */
export class AnswerBoard {
  /** @param {number} expected */
  constructor(expected) {
    this.expected = expected;
    this.done = 0;
    this.frame = 0;
    this.writing = '';
    this.timer = interactive ? setInterval(() => this.redraw(), REDRAW_MS) : undefined;
  }

  /** A streaming answer got longer. @param {Answer['sample']} sample @param {string} text */
  growing(sample, text) {
    this.writing = `${sample.family}: ${text}`;
  }

  /** @param {Answer} answer */
  arrived(answer) {
    this.done++;
    this.clear();
    say(answerLine(answer));
    this.redraw();
  }

  redraw() {
    if (!interactive) return;
    this.frame = (this.frame + 1) % FRAMES.length;
    const count = `${this.done}/${this.expected}`;
    const tail = [...this.writing.replace(/\s+/g, ' ')].slice(-(columns() - count.length - 8)).join('');
    this.clear();
    process.stdout.write(`  ${cyan(FRAMES[this.frame] ?? '')} ${count}  ${dim(tail)}`);
  }

  clear() {
    if (interactive) process.stdout.write('\r\u001b[2K');
  }

  close() {
    clearInterval(this.timer);
    this.clear();
  }
}

/** @param {Answer} answer */
function answerLine({ sample, right, text, streamed, elapsedMs, ride }) {
  const facts = [ride ? `batch ${ride.batchId}` : '', streamed ? 'streamed' : '', `${Math.round(elapsedMs)} ms`].filter(
    Boolean,
  );
  const rest = columns() - FAMILY_WIDTH - 44;
  const promptWidth = Math.floor(rest * 0.5);
  const answer = shorten(text || '(nothing)', rest - promptWidth);
  return `  ${right ? TICK : CROSS} ${dim(pad(shorten(sample.family, FAMILY_WIDTH), FAMILY_WIDTH))} ${pad(shorten(sample.prompt, promptWidth), promptWidth)} ${dim('→')} ${pad(
    right ? bold(answer) : red(answer),
    rest - promptWidth,
  )} ${dim(facts.join(' · '))}`;
}

/** What was batched with what. @param {Answer[]} answers */
export function sayBatches(answers) {
  const rows = batchesOf(answers).map(({ id, worker, size, members }) => [
    String(id),
    worker,
    bold(String(size)),
    companions(members, size),
    `${Math.round(Math.max(...members.map((member) => member.elapsedMs)))} ms`,
  ]);
  say();
  say(`  ${bold('What was batched with what')}`);
  say();
  if (rows.length === 0) return say(`  ${dim('nothing was answered')}`);
  say(
    table(
      [
        { title: 'batch', side: 'right' },
        { title: 'worker' },
        { title: 'size', side: 'right' },
        { title: 'prompts that entered together' },
        { title: 'all answered after', side: 'right' },
      ],
      rows,
    ),
  );
}

/** Batches in the order in which they began. @param {Answer[]} answers */
function batchesOf(answers) {
  /** @type {Map<string, { id: number, worker: string, size: number, members: Answer[] }>} */
  const batches = new Map();
  for (const answer of answers) {
    if (!answer.ride) continue;
    const { worker, batchId, batchSize } = answer.ride;
    const key = `${worker} ${batchId}`;
    const batch = batches.get(key) ?? { id: batchId, worker, size: batchSize, members: [] };
    batch.members.push(answer);
    batches.set(key, batch);
  }
  return [...batches.values()].sort((a, b) => a.worker.localeCompare(b.worker) || a.id - b.id);
}

/**
 * "3 add, 1 story beside 12 running": with continuous batching a batch is joined while others are in it.
 * @param {Answer[]} members
 * @param {number} size
 */
function companions(members, size) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { sample } of members) counts.set(sample.family, (counts.get(sample.family) ?? 0) + 1);
  const entered = [...counts].map(([family, count]) => `${count} ${family}`).join(', ');
  const beside = size > members.length ? ` beside ${size - members.length} running` : '';
  return `${shorten(entered, columns() - 48 - beside.length)}${dim(beside)}`;
}

/** The longest right answer, in full: what a caller reads. @param {Answer[]} answers */
export function sayLongest(answers) {
  const [longest] = answers.filter((answer) => answer.right).sort((a, b) => b.text.length - a.text.length);
  if (!longest || longest.text.length < 80) return;
  say();
  say(`  ${bold('The longest answer in full')}  ${dim(longest.sample.prompt)}`);
  say();
  for (const line of wrap(longest.text.trim(), Math.min(columns() - 8, 90))) say(`    ${line}`);
}

/** @param {string} text @param {number} size */
function wrap(text, size) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < size) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** @param {Answer[]} answers @param {number} elapsedMs */
export function sayTotals(answers, elapsedMs) {
  const seconds = elapsedMs / 1000;
  const right = answers.filter((answer) => answer.right).length;
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
  const rides = answers.flatMap(({ ride }) => (ride ? [ride.batchSize] : []));
  const meanBatch = rides.reduce((sum, size) => sum + size, 0) / Math.max(1, rides.length);
  say();
  say(
    `  ${right === answers.length ? TICK : CROSS} ${bold(`${right} of ${answers.length} right`)} in ${seconds.toFixed(2)} s: ${bold(
      (answers.length / seconds).toFixed(1),
    )} prompts/s, ${bold((tokens / seconds).toFixed(0))} tokens/s, mean batch ${bold(meanBatch.toFixed(1))}`,
  );
}
