import { join } from 'node:path';
import { type Finding, ratioFinding } from '../finding.ts';
import { type Contestant, interleave } from '../interleave.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { median, pairedRatio, quantile } from '../statistics.ts';
import { API_SCHEMAS, ApiCluster } from './cluster.ts';
import { load } from './load.ts';
import { Served } from './served.ts';

const AT_ONCE = 64;

interface Sample {
  /** Requests per second of the server's processor time. */
  perCore: number;
  perSecond: number;
}

/** What a request costs the API, against a bare route; the worker answers at once, in another process. */
export const overhead: Scenario = {
  name: 'overhead',
  title: 'one request through the API, and through a bare route',
  run,
};

async function* run({ quick, rounds }: BenchOptions): AsyncGenerator<Finding> {
  // So many that both sides run what V8 has optimised: in its first thousands of requests a server compiles.
  const requests = quick ? 200 : 5_000;
  // The bare route logs nothing either.
  const cluster = await ApiCluster.start({ LOG_LEVEL: 'warn' });
  const bare = await Served.start(join(import.meta.dirname, 'bare-route.js'), {
    ...{ REDIS_URL: cluster.redis.url, QUEUE: `bare-${cluster.address.model}`, SCHEMAS: API_SCHEMAS },
  });
  try {
    await cluster.worker.call('serve', { address: cluster.address, capacity: 4 * AT_ONCE, atOnce: true });
    const body = bodyOf(cluster.address.model);
    const contestant = (name: string, server: Served, path: string): Contestant<Sample> => ({
      name,
      measure: () => sample(server, path, body, requests),
    });
    const samples = await interleave(
      [
        contestant('bare route', bare, '/v1/completions'),
        contestant('bare route again', bare, '/v1/completions'),
        contestant('answer', cluster.api, '/v1/completions'),
        contestant('job', cluster.api, '/v1/jobs'),
      ],
      rounds,
    );
    const of = (name: string, field: keyof Sample): number[] => samples.get(name)?.map((one) => one[field]) ?? [];
    for (const name of samples.keys()) {
      yield { name: `${name}: requests per second and core`, unit: '', value: median(of(name, 'perCore')) };
      yield { name: `${name}: requests per second`, unit: '', value: median(of(name, 'perSecond')) };
    }
    const ratio = (a: string) => pairedRatio(of(a, 'perCore'), of('bare route', 'perCore'));
    yield ratioFinding('A/A: bare route, per core', ratio('bare route again'));
    yield ratioFinding('answer ÷ bare route, per core', ratio('answer'), { atLeast: 0.6 });
    yield ratioFinding('job ÷ bare route, per core', ratio('job'), { atLeast: 0.6 });
    // A job is answered once it is in Redis; one caller at a time sees no queue of its own making.
    const lone = (): Promise<number[]> =>
      load({ url: `${cluster.api.url}/v1/jobs`, body, requests: requests / 2, atOnce: 1 });
    const took = await lone();
    yield { name: 'request to job in Redis, and back: p50', unit: 'ms', value: median(took), target: { atMost: 2 } };
    yield { name: 'request to job in Redis, and back: p99', unit: 'ms', value: quantile(took, 0.99) };
    // A worker elsewhere takes no core from the API.
    await cluster.worker.call('stop', undefined);
    yield {
      name: 'request to job in Redis, and back, no worker beside it: p50',
      unit: 'ms',
      value: median(await lone()),
    };
  } finally {
    await bare.close();
    await cluster.close();
  }
}

async function sample(server: Served, path: string, body: string, requests: number): Promise<Sample> {
  const before = server.cpuMicros();
  const startedAt = performance.now();
  await load({ url: server.url + path, body, requests, atOnce: AT_ONCE });
  const ms = performance.now() - startedAt;
  return { perCore: requests / ((server.cpuMicros() - before) / 1e6), perSecond: (requests / ms) * 1000 };
}

/** A prompt of 500 bytes, sampled by chance: nothing is shared. */
function bodyOf(model: string): string {
  const prompt = 'once upon a time '.repeat(30).slice(0, 500);
  return JSON.stringify({ endpoint: '/v1/completions', model, prompt, max_tokens: 16, temperature: 0.7, top_p: 0.95 });
}
