import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../finding.ts';
import { sharedNow } from '../queue/jobs.ts';
import type { BenchOptions, Scenario } from '../scenario.ts';
import { quantile } from '../statistics.ts';
import { ApiCluster } from './cluster.ts';

const OPENED_AT_ONCE = 100;
const TICKS = 10;
const TICK_MS = 1_000;
const PATIENCE_MS = 60_000;

/** Many streams open at once against one API process. */
export const streams: Scenario = { name: 'streams', title: '2,000 streams open at once', run };

async function* run({ quick }: BenchOptions): AsyncGenerator<Finding> {
  const count = quick ? 100 : 2_000;
  const cluster = await ApiCluster.start({}, { tellsHeap: true });
  try {
    await cluster.worker.call('serve', { address: cluster.address, capacity: count, atOnce: false });
    // A few streams make the process load what it needs. The first wave brings it to its size, which is the streams'; if
    // all of that is given back, the third one leaves no more behind than the first.
    await wave(cluster, count / 20);
    const one = await wave(cluster, count);
    await sleep(quick ? 200 : 5_000);
    const { first, delays, idleHeapBytes } = await wave(cluster, count);
    const three = await wave(cluster, count);
    const perStream = (bytes: number): number => bytes / count / 1024;
    yield { name: 'streams with a first byte', unit: '', value: first, target: { atLeast: count } };
    const late = quantile(delays, 0.99);
    yield { name: 'event, worker’s emit to reader: p50', unit: 'ms', value: quantile(delays, 0.5) };
    yield { name: 'event, worker’s emit to reader: p99', unit: 'ms', value: late, target: { atMost: 250 } };
    const idle = perStream(one.idleBytes);
    yield { name: 'resident memory of an idle stream, first wave', unit: 'kB', value: idle, target: { atMost: 60 } };
    yield { name: 'heap of an idle stream, collected', unit: 'kB', value: perStream(idleHeapBytes) };
    for (const [name, { heapBytes, residentBytes }] of [['first', one] as const, ['third', three] as const]) {
      yield { name: `heap after the ${name} wave, collected`, unit: 'MB', value: heapBytes / 2 ** 20 };
      yield { name: `resident after the ${name} wave`, unit: 'MB', value: residentBytes / 2 ** 20 };
    }
    const left = (bytes: 'heapBytes' | 'residentBytes'): number => perStream(three[bytes] - one[bytes]);
    const none = { unit: 'kB', target: { atMost: 1 } };
    yield { name: 'heap that two more waves leave, per stream', value: left('heapBytes'), ...none };
    yield { name: 'resident memory that two more waves leave, per stream', value: left('residentBytes'), unit: 'kB' };
  } finally {
    await cluster.close();
  }
}

interface Wave {
  /** Streams that got anything. */
  first: number;
  /** What the process grew by while all streams were open and idle: resident memory, and its collected heap. */
  idleBytes: number;
  idleHeapBytes: number;
  /** Of the process after all had gone: its collected heap, and its resident memory, of which an allocator keeps pages. */
  heapBytes: number;
  residentBytes: number;
  /** Of every event of every stream, in ms. */
  delays: number[];
}

async function wave(cluster: ApiCluster, count: number): Promise<Wave> {
  const { api, worker, address } = cluster;
  const heapBefore = await api.heapBytes();
  const before = api.memoryBytes();
  const readers = Array.from({ length: count }, () => new Reader());
  const body = JSON.stringify({ model: address.model, prompt: 'once upon a time', stream: true, max_tokens: 1000 });
  for (let from = 0; from < count; from += OPENED_AT_ONCE) {
    await Promise.all(
      readers.slice(from, from + OPENED_AT_ONCE).map((reader) => reader.open(`${api.url}/v1/completions`, body)),
    );
  }
  await until(async () => (await worker.call('holding', undefined)) === count);
  await worker.call('tick', undefined);
  await until(async () => readers.every(({ delays }) => delays.length >= 1));
  const first = readers.filter(({ delays }) => delays.length > 0).length;
  await sleep(2_000);
  const idleBytes = api.memoryBytes() - before;
  const idleHeapBytes = (await api.heapBytes()) - heapBefore;
  for (let tick = 0; tick < TICKS; tick++) {
    await sleep(TICK_MS);
    await worker.call('tick', undefined);
  }
  await until(async () => readers.every(({ delays }) => delays.length >= TICKS + 1));
  const ended = readers.map((reader) => reader.ended);
  await worker.call('finish', undefined);
  await Promise.all(ended);
  await sleep(2_000);
  const heapBytes = await api.heapBytes();
  // The first token came to streams that were just opened; those behind it came to idle ones.
  return {
    first,
    idleBytes,
    idleHeapBytes,
    heapBytes,
    residentBytes: api.memoryBytes(),
    delays: readers.flatMap(({ delays }) => delays.slice(1)),
  };
}

/** One caller: notes how old each event is when it comes. */
class Reader {
  readonly delays: number[] = [];
  ended: Promise<void> = Promise.resolve();

  /** Resolves when the request is sent; the answer begins with its first event. */
  open(url: string, body: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const call = request(url, { method: 'POST', agent: false, headers });
      this.ended = new Promise((done, failed) => {
        call.on('response', (response) => this.#read(response, done));
        call.on('error', failed);
      });
      this.ended.catch(() => {});
      call.on('error', reject);
      call.end(body, resolve);
    });
  }

  #read(response: IncomingMessage, done: () => void): void {
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      const now = sharedNow();
      for (const [, stamp] of text.matchAll(/"text":"(\d+\.\d) "/g)) this.delays.push(now - Number(stamp));
    });
    response.on('end', done);
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const late = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > late) throw new Error(`streams did not come so far within ${PATIENCE_MS} ms`);
    await sleep(20);
  }
}
