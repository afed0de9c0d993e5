import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Cluster } from '../cluster/cluster.ts';

const shoal = fileURLToPath(new URL('../../apps/cli/bin/shoal.mjs', import.meta.url));

describe('shoal bench, against real processes', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start({ redisUrl: inject('redisUrl'), env: { REUSE_ANSWERS: 'true' } });
  });
  afterAll(() => cluster?.stop());

  it.each([[['--stream']], [['--no-stream']], [['--rate', '50']]])('measures %j', async (options) => {
    const load = ['--requests', '6', '--concurrency', '3', '--prompt', '47 + 38 =', '--max-tokens', '8', '--json'];
    const args = [shoal, 'bench', '--url', cluster.url, '--model', 'minnow', ...load, ...options];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ requests: 6, completed: 6, failed: 0, errors: {} });
    expect(report.tokensPerSecond).toBeGreaterThan(0);
    expect(report.responseMs.p50).toBeGreaterThan(0);
    if (options.includes('--no-stream')) expect(report.firstTokenMs.p50).toBeNull();
    else expect(report.firstTokenMs.p50).toBeGreaterThan(0);
  });
});
