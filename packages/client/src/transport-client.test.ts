import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { RequestEvent } from '@shoal/protocol';
import { describe, expect, it } from 'vitest';
import type { Job } from './job.ts';
import { retryPolicy } from './retry.ts';
import type { Transport } from './transport.ts';
import { TransportClient } from './transport-client.ts';

const job: Job = { id: 'j', model: 'm', status: 'running', queuedAt: 1, attempts: 1 };
const token: RequestEvent = { type: 'tokens', position: 0, tokenIds: [1], text: 'a' };

/** One token, and then nothing until the signal is aborted; it writes down what is called, and when it was done. */
function hanging(cancelled: Promise<unknown>): { transport: Transport; calls: string[] } {
  const calls: string[] = [];
  const noted = async <T>(call: string, value: T): Promise<T> => {
    calls.push(call);
    return value;
  };
  const transport: Transport = {
    submit: () => noted('submit', job),
    job: () => noted('job', job),
    request: () => noted('request', {}),
    cancel: async () => {
      await cancelled;
      return await noted('cancel', job);
    },
    async *follow(_id, _position, signal) {
      yield token;
      if (!signal.aborted) await once(signal, 'abort');
    },
    queues: () => noted('queues', []),
    close: () => noted('close', undefined),
  };
  return { transport, calls };
}

describe('TransportClient', () => {
  it('cancels a job at the abort, also when nobody reads its stream just then, and before it closes', async () => {
    const { transport, calls } = hanging(setImmediate());
    const client = new TransportClient(transport, retryPolicy({}), 'm');
    const abort = new AbortController();
    const stream = client.stream({ prompt: 'x' }, { signal: abort.signal });
    await stream[Symbol.asyncIterator]().next();
    abort.abort();
    await client.close();
    expect(calls).toEqual(['submit', 'cancel', 'close']);
    await expect(stream.result()).rejects.toMatchObject({ code: 'cancelled' });
    expect(calls).toEqual(['submit', 'cancel', 'close']);
  });

  it('does not wait for ever for a cancellation', async () => {
    const { transport, calls } = hanging(new Promise(() => {}));
    const client = new TransportClient(transport, retryPolicy({}), 'm', 10);
    for await (const _ of client.stream({ prompt: 'x' })) break;
    await client.close();
    expect(calls).toEqual(['submit', 'close']);
  });

  it('does not wait for a job that nobody has left', async () => {
    const { transport, calls } = hanging(new Promise(() => {}));
    const client = new TransportClient(transport, retryPolicy({}), 'm');
    const batch = client.submitBatch([{ prompt: 'x' }])[Symbol.asyncIterator]();
    const outcome = batch.next();
    await setImmediate();
    await client.close();
    expect(calls).toEqual(['submit', 'close']);
    outcome.catch(() => {});
  }, 5_000);
});
