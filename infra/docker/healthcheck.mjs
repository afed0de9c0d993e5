// node healthcheck.mjs URL: exit 0 if URL answers 2xx within two seconds.
const url = process.argv[2] ?? '';
const LIMIT_MS = 2_000;

try {
  const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS), redirect: 'manual' });
  await response.arrayBuffer();
  if (!response.ok) process.stderr.write(`${url} answered ${response.status}\n`);
  process.exitCode = response.ok ? 0 : 1;
} catch (error) {
  process.stderr.write(`${url}: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
