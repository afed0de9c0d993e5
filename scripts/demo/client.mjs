// Asks the API as any OpenAI client would, streaming or not, and judges the answer.
import { shorten } from '../console/terminal.mjs';

const ANSWER_LIMIT_MS = 120_000;

/**
 * One prompt whose answer can be checked. Exactly one of `expected` and `pattern` is there.
 * @typedef {object} Sample
 * @property {'chat' | 'completion'} form
 * @property {string} prompt
 * @property {string} [expected] The whole answer.
 * @property {string} [pattern] A regular expression that the answer must match.
 * @property {string} family Kind of task.
 * @property {number} maxTokens
 */

/**
 * @typedef {object} Answer
 * @property {Sample} sample
 * @property {boolean} right
 * @property {string} text What came, or why nothing came.
 * @property {boolean} streamed
 * @property {number} elapsedMs From sending to the last byte.
 * @property {number} tokens Generated.
 * @property {{ worker: string, batchId: number, batchSize: number } | undefined} ride
 */

/** @typedef {{ text: string, tokens: number, shoal?: { worker: string, batch: { id: number, size: number } } }} Reply */

/**
 * Never rejects: a failure is a wrong answer.
 * @param {Sample} sample
 * @param {{ apiUrl: string, model: string, stream: boolean, onText: (text: string) => void }} options `onText` gets the
 *   whole text so far.
 * @returns {Promise<Answer>}
 */
export async function ask(sample, { apiUrl, model, stream, onText }) {
  const startedAt = performance.now();
  const finish = (/** @type {Pick<Answer, 'right' | 'text' | 'tokens' | 'ride'>} */ outcome) => ({
    sample,
    streamed: stream,
    elapsedMs: performance.now() - startedAt,
    ...outcome,
  });
  try {
    const response = await fetch(`${apiUrl}/v1/${sample.form === 'chat' ? 'chat/completions' : 'completions'}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(requestBody(sample, model, stream)),
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    if (!response.ok) throw new Error(`${response.status}: ${shorten(await response.text(), 200)}`);
    const reply = stream ? await readStream(response, onText) : readBody(/** @type {Body} */ (await response.json()));
    const ride = reply.shoal && {
      worker: reply.shoal.worker,
      batchId: reply.shoal.batch.id,
      batchSize: reply.shoal.batch.size,
    };
    return finish({ right: isRight(sample, reply.text), text: reply.text, tokens: reply.tokens, ride });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return finish({ right: false, text: `no answer: ${text}`, tokens: 0, ride: undefined });
  }
}

/** @param {Sample} sample @param {string} model @param {boolean} stream */
function requestBody(sample, model, stream) {
  return {
    model,
    ...(sample.form === 'chat' ? { messages: [{ role: 'user', content: sample.prompt }] } : { prompt: sample.prompt }),
    max_tokens: sample.maxTokens,
    temperature: 0,
    ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
  };
}

/**
 * A whole answer, or a chunk of one, as far as this client reads it.
 * @typedef {object} Body
 * @property {{ text?: string, message?: { content?: string | null }, delta?: { content?: string | null } }[]} [choices]
 * @property {{ completion_tokens?: number } | null} [usage]
 * @property {Required<Reply>['shoal']} [shoal]
 * @property {{ message: string }} [error]
 */

/** @param {Body} body @returns {Reply} */
function readBody(body) {
  const choice = body.choices?.[0];
  return {
    text: choice?.message?.content ?? choice?.text ?? '',
    tokens: body.usage?.completion_tokens ?? 0,
    ...(body.shoal ? { shoal: body.shoal } : {}),
  };
}

/** Server-sent events. @param {Response} response @param {(text: string) => void} onText @returns {Promise<Reply>} */
async function readStream(response, onText) {
  /** @type {Reply} */
  const reply = { text: '', tokens: 0 };
  let done = false;
  for await (const data of eventData(response)) {
    if (data === '[DONE]') {
      done = true;
      continue;
    }
    /** @type {Body} */
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    const choice = chunk.choices?.[0];
    const text = choice?.delta?.content ?? choice?.text ?? '';
    reply.text += text;
    if (text) onText(reply.text);
    reply.tokens = chunk.usage?.completion_tokens ?? reply.tokens;
    if (chunk.shoal) reply.shoal = chunk.shoal;
  }
  if (!done) throw new Error('the stream ended without [DONE]');
  return reply;
}

/** @param {Response} response @returns {AsyncGenerator<string>} The data of each event; comments are left out. */
async function* eventData(response) {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const bytes of response.body ?? []) {
    pending += decoder.decode(bytes, { stream: true });
    const lines = pending.split('\n');
    pending = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data:')) yield line.slice(5).trim();
  }
}

/** The same rule as the evaluation's (models/minnow). @param {Sample} sample @param {string} text */
function isRight(sample, text) {
  if (sample.pattern !== undefined) return new RegExp(sample.pattern, 'u').test(text);
  return text === sample.expected;
}
