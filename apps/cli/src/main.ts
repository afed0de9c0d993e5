import { shoal } from './program.ts';

const stop = new AbortController();
const onSignal = (): void => stop.abort();
process.once('SIGINT', onSignal);
process.once('SIGTERM', onSignal);
// Whoever read the answers has gone, as `head` does: nobody needs the others.
process.stdout.once('error', onSignal).on('error', () => {});

process.exitCode = await shoal(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: stop.signal,
  // As Date.now, with fractions: tokens come less than a millisecond apart.
  clock: () => performance.timeOrigin + performance.now(),
});
// A terminal or pipe that is still open would keep the process alive.
process.stdin.destroy();
