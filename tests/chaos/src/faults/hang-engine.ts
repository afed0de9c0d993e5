import { setTimeout as sleep } from 'node:timers/promises';
import type { Member } from '../cluster/member.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface HangOptions {
  stepTimeoutMs: number;
  /** How long the worker may be without work. */
  idleLimitMs?: number;
  /** How long it may take to leave beyond STEP_TIMEOUT_MS. */
  marginMs?: number;
}

/** A worker without work does not notice that its device hangs, and is not missed. */
const IDLE_LIMIT_MS = 30_000;
/** The next look of its watch, the process that kills it in the end, and a slow machine. */
const LEAVING_MARGIN_MS = 30_000;
const LOOK_EVERY_MS = 20;

/**
 * The engine's next run goes into a native call that does not return; the worker has to leave by itself. Resolves when it
 * has left, or had no work. One that hung and stayed is a finding, and is killed, so that its jobs go on.
 */
export async function hangEngine(
  worker: Pick<Member, 'name' | 'exited' | 'control' | 'hung' | 'signal'>,
  ledger: Ledger,
  { stepTimeoutMs, idleLimitMs = IDLE_LIMIT_MS, marginMs = LEAVING_MARGIN_MS }: HangOptions,
): Promise<void> {
  let hasLeft = false;
  const leaving = worker.exited().then(() => {
    hasLeft = true;
  });
  worker.control('hang', 'now');
  await until(() => hasLeft || worker.hung, idleLimitMs);
  worker.control('hang', undefined);
  if (!hasLeft && worker.hung) {
    const limitMs = stepTimeoutMs + marginMs;
    if (!(await until(() => hasLeft, limitMs))) {
      ledger.find(
        `${worker.name} hung, with STEP_TIMEOUT_MS=${stepTimeoutMs}, and was still there after ${limitMs} ms`,
      );
      worker.signal('SIGKILL');
      await leaving;
    }
  }
  worker.control('hung', undefined);
}

async function until(holds: () => boolean, limitMs: number): Promise<boolean> {
  const limit = Date.now() + limitMs;
  while (!holds()) {
    if (Date.now() > limit) return false;
    await sleep(LOOK_EVERY_MS);
  }
  return true;
}
