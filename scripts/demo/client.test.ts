import { createServer, type RequestListener, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { ask } from './client.mjs';

const sample = { form: 'completion', prompt: '1 + 1 =', expected: ' 2', family: 'sum', maxTokens: 4 } as const;
const shoal = { worker: 'w', batch: { id: 3, size: 8 } };
let server: Server | undefined;

afterEach(() => void server?.close());

async function answerWith(listener: RequestListener): Promise<{ apiUrl: string; model: string; onText: () => void }> {
  const listening = createServer(listener).listen(0, '127.0.0.1');
  server = listening;
  await new Promise((resolve) => listening.once('listening', resolve));
  const address = listening.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  return { apiUrl: `http://127.0.0.1:${port}`, model: 'm', onText: () => {} };
}

const events = (...data: unknown[]) =>
  data.map((each) => `data: ${typeof each === 'string' ? each : JSON.stringify(each)}\n\n`).join('');

describe('ask', () => {
  it('judges a whole answer and reads its ride', async () => {
    const api = await answerWith((_, response) =>
      response.end(JSON.stringify({ choices: [{ text: ' 2' }], usage: { completion_tokens: 2 }, shoal })),
    );
    expect(await ask(sample, { ...api, stream: false })).toMatchObject({
      right: true,
      text: ' 2',
      tokens: 2,
      ride: { worker: 'w', batchId: 3, batchSize: 8 },
    });
  });

  it.each([
    [{ expected: '2' }, false],
    [{ expected: undefined, pattern: '^ \\d$' }, true],
    [{ expected: undefined, pattern: '^\\d' }, false],
    [{ expected: undefined }, false],
  ])('compares the whole answer with %j', async (change, right) => {
    const api = await answerWith((_, response) => response.end(JSON.stringify({ choices: [{ text: ' 2' }] })));
    expect((await ask({ ...sample, ...change } as typeof sample, { ...api, stream: false })).right).toBe(right);
  });

  it('joins the deltas of a chat stream', async () => {
    const seen: string[] = [];
    const api = await answerWith((_, response) =>
      response.end(
        `: keep-alive\n\n${events({ choices: [{ delta: { content: 'One' } }] }, { choices: [{ delta: { content: ' fish' } }] }, { choices: [], usage: { completion_tokens: 5 }, shoal }, '[DONE]')}`,
      ),
    );
    const story = { ...sample, form: 'chat', expected: 'One fish' } as const;
    const answer = await ask(story, { ...api, stream: true, onText: (text) => seen.push(text) });
    expect(answer).toMatchObject({ right: true, tokens: 5, streamed: true });
    expect(seen).toEqual(['One', 'One fish']);
  });

  it.each([
    ['an error status', 503, JSON.stringify({ error: { message: 'away' } }), 'away'],
    [
      'an error in mid-stream',
      200,
      events({ choices: [{ text: ' 2' }] }, { error: { message: 'worker lost' } }),
      'worker lost',
    ],
    ['a stream that just stops', 200, events({ choices: [{ text: ' 2' }] }), 'without [DONE]'],
  ])('takes %s for a wrong answer', async (_, status, body, reason) => {
    const api = await answerWith((__, response) => response.writeHead(status).end(body));
    const answer = await ask(sample, { ...api, stream: true });
    expect(answer.right).toBe(false);
    expect(answer.text).toContain(reason);
  });
});
