import type { Progress } from './soak.ts';

const interactive = Boolean(process.stdout.isTTY);
const PLAIN_EVERY_MS = 10_000;

/** A line that is rewritten on a terminal; elsewhere one line every ten seconds, and one per phase. */
export function progressLine(): (progress: Progress) => void {
  let phase = '';
  let toldAt = 0;
  return (progress) => {
    const { faults, requests, streaming, violations, secondsLeft, current } = progress;
    const time = secondsLeft > 0 ? `, ${secondsLeft} s left` : '';
    const numbers = `${faults} faults, ${requests} requests, ${streaming} open streams, ${violations} violations`;
    const now = current.length > 0 ? ` | ${current.join(', ')}` : '';
    const line = `${progress.phase}${time}: ${numbers}${now}`;
    if (interactive) {
      process.stdout.write(`\r\u001b[2K${line.slice(0, (process.stdout.columns || 100) - 1)}`);
    } else if (progress.phase !== phase || Date.now() - toldAt > PLAIN_EVERY_MS) {
      process.stdout.write(`${line}\n`);
      toldAt = Date.now();
    }
    phase = progress.phase;
  };
}

export function say(text: string = ''): void {
  process.stdout.write(`${interactive ? '\r\u001b[2K' : ''}${text}\n`);
}

/** Aligned columns under a head; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => String(row[column] ?? '').length)));
  const line = (row: readonly (string | number)[]): string =>
    row
      .map((cell, column) =>
        typeof cell === 'number' ? String(cell).padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return all.map((row) => `  ${line(row)}`).join('\n');
}
