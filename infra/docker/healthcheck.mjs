// node healthcheck.mjs URL [STATUS]: exit 0 if URL answers with that status (default: any of 2xx) within two seconds.
const [url = '', expected] = process.argv.slice(2);
const LIMIT_MS = 2_000;

try {
  const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS), redirect: 'manual' });
  await response.arrayBuffer();
  const healthy = expected === undefined ? response.ok : response.status === Number(expected);
  if (!healthy) process.stderr.write(`${url} answered ${response.status}\n`);
  process.exitCode = healthy ? 0 : 1;
} catch (error) {
  process.stderr.write(`${url}: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
