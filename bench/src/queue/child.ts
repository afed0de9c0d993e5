import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';

/** What a child process can be asked: one argument, one answer, both cloned on the way. */
export type Calls = Readonly<Record<string, (argument: never) => Promise<unknown>>>;

interface Asked {
  call: number;
  name: string;
  argument: unknown;
}

type Answered = { call: number; value: unknown } | { call: number; error: string };

/**
 * A contestant in a process of its own, so that its processor time is its own. It dies with its caller, which owns the
 * channel.
 */
export class Child<C extends Calls> {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  #calls = 0;

  /** `file`: one of this folder that calls {@link answer}. */
  constructor(file: string) {
    this.#process = fork(join(import.meta.dirname, file), { serialization: 'advanced' });
    this.#process.on('message', (message) => this.#settle(message as Answered));
    this.#process.on('exit', (code) => this.#fail(new Error(`${file} ended with code ${code}`)));
  }

  call<K extends keyof C & string>(name: K, argument: Parameters<C[K]>[0]): Promise<Awaited<ReturnType<C[K]>>> {
    this.#calls += 1;
    const asked: Asked = { call: this.#calls, name, argument };
    return new Promise((resolve, reject) => {
      this.#waiting.set(asked.call, { resolve, reject });
      this.#process.send(asked);
    });
  }

  close(): void {
    this.#process.removeAllListeners('exit');
    this.#process.disconnect();
    this.#fail(new Error('the child was closed'));
  }

  #settle(answer: Answered): void {
    const waiting = this.#waiting.get(answer.call);
    this.#waiting.delete(answer.call);
    if ('error' in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.value as never);
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** The child's side: answers until the caller is gone. */
export function answer(calls: Calls): void {
  process.on('message', (message) => {
    const { call, name, argument } = message as Asked;
    const reply = (answered: Answered): void => void process.send?.(answered);
    const asked = calls[name];
    if (asked === undefined) {
      reply({ call, error: `there is no call ${name}` });
      return;
    }
    asked(argument as never).then(
      (value) => reply({ call, value }),
      (error: unknown) =>
        reply({ call, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
