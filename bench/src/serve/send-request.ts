import { Agent, type IncomingMessage, request } from 'node:http';
import type { Arrival } from './arrivals.ts';
import type { Send } from './open-loop.ts';

const QUOTED_CHARACTERS = 300;

/**
 * Sends requests in the shape of `/v1/completions` and reads what comes: server-sent events, whose data are the parts
 * of the answer, or one JSON object, which is its only part. Each answer must have the tokens that were asked for.
 */
export function sendTo(url: string, fields: Readonly<Record<string, unknown>>): { send: Send; close(): void } {
  const agent = new Agent({ keepAlive: true });
  const send: Send = ({ prompt, maxTokens }, onPart, signal) => {
    const body = JSON.stringify({ ...fields, prompt, max_tokens: maxTokens });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const call = request(`${url}/v1/completions`, { method: 'POST', agent, headers, signal }, (response) => {
        read(response, maxTokens, onPart).then(resolve, reject);
      });
      call.on('error', reject);
      call.setNoDelay(true);
      call.end(body);
    });
  };
  return { send, close: () => agent.destroy() };
}

async function read(response: IncomingMessage, maxTokens: Arrival['maxTokens'], onPart: () => void): Promise<void> {
  const streams = response.headers['content-type']?.startsWith('text/event-stream') === true;
  const { statusCode = 0 } = response;
  let all = '';
  for await (const bytes of response.setEncoding('utf8')) {
    const text = bytes as string;
    all += text;
    if (streams && /^data: \{.*"text":"./m.test(text)) onPart();
  }
  if (statusCode >= 300) throw new Error(`status ${statusCode}: ${all.slice(0, QUOTED_CHARACTERS)}`);
  if (!streams) onPart();
  const tokens = Number(/"completion_tokens":\s*(\d+)/.exec(all)?.[1]);
  if (tokens !== maxTokens) {
    throw new Error(`${tokens} tokens instead of ${maxTokens}: ${all.slice(-QUOTED_CHARACTERS)}`);
  }
}
