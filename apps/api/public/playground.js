// The playground: one stream for one prompt, or one stream for fifty, and the batch of every answer as a colour.

import { Picture } from './picture.js';

const $ = (id) => document.getElementById(id);
const elements = {
  form: $('ask'),
  model: $('model'),
  maxTokens: $('max-tokens'),
  temperature: $('temperature'),
  keyRow: $('key-row'),
  key: $('key'),
  prompt: $('prompt'),
  send: $('send'),
  fifty: $('fifty'),
  stop: $('stop'),
  status: $('status'),
  picture: $('picture'),
  batches: $('batches'),
  answers: $('answers'),
};

/** Completion prompts of many lengths; {n} and {m} become numbers, {w} a word. */
const TEMPLATES = [
  '{n} + {m} =',
  'The sum of {n} and {m} is',
  'The larger of {n} and {m} is',
  '{n}, {m}, 21 sorted:',
  'The reverse of {w} is',
  '{w} in capitals:',
  'The letters of {w} sorted:',
  '{w} 3 times:',
  'The day before Monday is',
  'The month after September is',
  'The capital of Cuba is',
  'The colour of a leaf is',
  'The opposite of early is',
  'A short story about a robin and a {w}:',
];
const WORDS = ['lantern', 'river', 'goat', 'summer', 'planet', 'ink', 'castle', 'whale', 'button', 'storm'];

const MOST_BADGES = 12;

let running;

elements.form.addEventListener('submit', (event) => {
  event.preventDefault();
  void start([elements.prompt.value]);
});
elements.fifty.addEventListener(
  'click',
  () => void start(Array.from({ length: 50 }, (_, index) => samplePrompt(index))),
);
elements.stop.addEventListener('click', () => running?.abort());
elements.key.addEventListener('change', () => void loadModels());
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') running?.abort();
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) elements.form.requestSubmit();
});
void loadModels();

function samplePrompt(index) {
  const number = (factor) => String(1 + ((index * factor) % 98));
  return TEMPLATES[index % TEMPLATES.length]
    .replace('{n}', number(37))
    .replace('{m}', number(53))
    .replace('{w}', WORDS[(index * 7) % WORDS.length]);
}

function headers() {
  const key = elements.key.value.trim();
  // Fifty answers from a cache would show no batch.
  return {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
  };
}

async function loadModels() {
  try {
    const response = await fetch('/v1/models', { headers: headers() });
    if (response.status === 401) {
      elements.keyRow.hidden = false;
      say('This server asks for an API key: enter one above.');
      elements.key.focus();
      return;
    }
    const body = await response.json();
    if (!response.ok) throw new Error(body.error.message);
    elements.model.replaceChildren(
      ...body.data.map((model) => {
        const option = new Option(model.id, model.id);
        option.dataset.chat = model.shoal.chat;
        return option;
      }),
    );
    say(body.data.length === 0 ? 'No worker serves a model yet: start one, then reload.' : 'Ready.');
  } catch (error) {
    say(`Could not list the models: ${error.message}`);
  }
}

function say(text) {
  elements.status.textContent = text;
}

async function start(prompts) {
  if (running !== undefined || elements.model.value === '') return;
  running = new AbortController();
  setBusy(true);
  const run = newRun(prompts);
  try {
    for await (const chunk of streamOf(prompts, running.signal)) take(run, chunk);
    say(summary(run));
  } catch (error) {
    say(error.name === 'AbortError' ? 'Stopped.' : error.message);
    for (const card of run.cards) if (!card.done) card.root.classList.add('failed');
  } finally {
    run.picture.stop();
    running = undefined;
    setBusy(false);
  }
}

function setBusy(busy) {
  elements.send.disabled = busy;
  elements.fifty.disabled = busy;
  elements.stop.disabled = !busy;
  elements.answers.setAttribute('aria-busy', String(busy));
}

/** Everything that is known of what was sent last; shows an empty card for each prompt. */
function newRun(prompts) {
  const cards = prompts.map((prompt) => {
    const root = document.createElement('li');
    root.className = 'answer';
    const [question, text, ride] = ['question', 'text', 'ride'].map((name) => {
      const line = document.createElement('p');
      line.className = name;
      root.append(line);
      return line;
    });
    question.textContent = prompt;
    ride.textContent = 'waiting';
    return { prompt, root, text, ride, bar: undefined, done: false };
  });
  elements.answers.replaceChildren(...cards.map((card) => card.root));
  elements.answers.classList.toggle('alone', cards.length === 1);
  elements.batches.replaceChildren();
  elements.batches.hidden = true;
  say(prompts.length === 1 ? 'Sent …' : `Sent ${prompts.length} prompts …`);
  const picture = new Picture(elements.picture);
  return { cards, picture, batches: new Map(), sentAt: performance.now(), firstAt: undefined, usage: undefined };
}

/** One choice of one chunk: more text, or the end with the ride. */
function take(run, chunk) {
  if (chunk.error) throw new Error(chunk.error.message);
  if (chunk.usage) run.usage = chunk.usage;
  const choice = chunk.choices[0];
  if (choice === undefined) return;
  const card = run.cards[choice.index];
  const text = choice.delta?.content ?? choice.text ?? '';
  if (text !== '') {
    run.firstAt ??= performance.now();
    card.bar ??= run.picture.begin(card.prompt);
    card.text.append(card.text.textContent === '' ? text.trimStart() : text);
    card.ride.textContent = 'running';
  }
  if (chunk.shoal) finish(run, card, chunk.shoal);
}

function finish(run, card, { batch, worker, timings }) {
  card.done = true;
  const key = `${worker}/${batch.id}`;
  const riders = (run.batches.get(key)?.riders ?? 0) + 1;
  const colour = colourOf(key);
  run.batches.set(key, { id: batch.id, size: batch.size, riders, colour });
  card.root.style.setProperty('--batch', colour);
  if (card.bar !== undefined) run.picture.end(card.bar, colour);
  const waited = Math.round(timings.started_at - timings.queued_at);
  const took = Math.round(timings.finished_at - timings.started_at);
  card.ride.textContent = `batch ${batch.id} of ${batch.size} · waited ${waited} ms, ran ${took} ms`;
  showBatches(run);
}

function showBatches(run) {
  const badges = [...run.batches.values()].map(({ id, size, riders, colour }) => {
    const badge = document.createElement('span');
    badge.className = 'batch';
    badge.style.setProperty('--batch', colour);
    badge.textContent = `batch ${id}: ${riders} of ${size}`;
    return badge;
  });
  elements.batches.replaceChildren(...badges);
  // With continuous batching there are as many as there are moments at which somebody joined: the colours say enough.
  elements.batches.hidden = badges.length > MOST_BADGES;
}

/** The same batch always gets the same colour; neighbours get colours far apart. */
function colourOf(key) {
  let hash = 0;
  for (const character of key) hash = (hash * 31 + character.codePointAt(0)) % 100_000;
  return `hsl(${(hash * 137.508) % 360} 65% 50%)`;
}

function summary(run) {
  const seconds = (performance.now() - run.sentAt) / 1000;
  const tokens = run.usage?.completion_tokens ?? 0;
  const first = run.firstAt === undefined ? '' : `, first text after ${Math.round(run.firstAt - run.sentAt)} ms`;
  const answers = run.cards.length === 1 ? '1 answer' : `${run.cards.length} answers`;
  const batches = run.batches.size === 1 ? '1 batch' : `${run.batches.size} batches`;
  return `${answers} in ${batches}: ${tokens} tokens in ${seconds.toFixed(2)} s (${Math.round(tokens / seconds)} a second)${first}.`;
}

/** The chunks of one request; a single prompt is a chat where the model can chat. */
async function* streamOf(prompts, signal) {
  const chat = prompts.length === 1 && elements.model.selectedOptions[0]?.dataset.chat === 'true';
  const body = {
    model: elements.model.value,
    max_tokens: elements.maxTokens.valueAsNumber || 160,
    temperature: elements.temperature.valueAsNumber || 0,
    stream: true,
    stream_options: { include_usage: true },
    ...(chat ? { messages: [{ role: 'user', content: prompts[0] }] } : { prompt: prompts, stop: ['\n\n'] }),
  };
  const url = chat ? '/v1/chat/completions' : '/v1/completions';
  const response = await fetch(url, { method: 'POST', headers: headers(), body: JSON.stringify(body), signal });
  if (!response.ok) throw new Error((await response.json()).error.message);
  yield* chunksOf(response.body);
}

async function* chunksOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffered = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const events = (buffered + part.value).split('\n\n');
    buffered = events.pop() ?? '';
    for (const event of events) {
      if (!event.startsWith('data: ')) continue;
      const data = event.slice('data: '.length);
      if (data !== '[DONE]') yield JSON.parse(data);
    }
  }
}
