import { Child } from './child.ts';
import type { QueueAddress } from './jobs.ts';
import type { ProducerCalls, ProducerKind } from './producer-process.ts';

/** Several producers of one queue, each in a process of its own. */
export class Producers {
  readonly #children: readonly Child<ProducerCalls>[];

  constructor(count: number) {
    this.#children = Array.from({ length: count }, () => new Child<ProducerCalls>('producer-process.js'));
  }

  async connect(kind: ProducerKind, address: QueueAddress): Promise<void> {
    await Promise.all(this.#children.map((child) => child.call('connect', { kind, address })));
  }

  /** Asks all of them the same at the same time. */
  async all<K extends keyof ProducerCalls>(
    name: K,
    argumentOf: (index: number) => Parameters<ProducerCalls[K]>[0],
  ): Promise<Awaited<ReturnType<ProducerCalls[K]>>[]> {
    return await Promise.all(this.#children.map((child, index) => child.call(name, argumentOf(index))));
  }

  async disconnect(): Promise<void> {
    await this.all('close', () => undefined);
  }

  close(): void {
    for (const child of this.#children) child.close();
  }
}
