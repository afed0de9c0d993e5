import { isTerminal, type RequestEvent, ShoalError, tokensFrom } from '@shoal/protocol';
import { throwIfAborted } from './abort.ts';
import { pauseOrThrow, type RetryPolicy } from './retry.ts';
import type { Transport } from './transport.ts';

/**
 * A job's events to the terminal one, each once and in order, over as many connections as it takes: after a break, the
 * next one begins at the position where the last one ended. Retries count from the latest token on.
 */
export async function* followResumed(
  transport: Pick<Transport, 'follow'>,
  id: string,
  policy: RetryPolicy,
  signal: AbortSignal,
): AsyncGenerator<RequestEvent, void, undefined> {
  let position = 0;
  let failures = 0;
  for (;;) {
    throwIfAborted(signal);
    let failure: unknown = new ShoalError('unavailable', 'the stream of events ended before the answer did');
    try {
      for await (const event of transport.follow(id, position, signal)) {
        if (event.type === 'tokens') {
          const end = event.position + event.tokenIds.length;
          if (end <= position) continue;
          // Something was missed: what follows is read again from where it is known.
          if (event.position > position) break;
          const rest = tokensFrom(event, position);
          position = end;
          failures = 0;
          yield rest;
          continue;
        }
        yield event;
        if (isTerminal(event)) return;
      }
    } catch (error) {
      failure = error;
    }
    throwIfAborted(signal);
    failures += 1;
    await pauseOrThrow(policy, signal, failure, failures);
  }
}
