import { computed, effect, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { type Frame, type QueueFrame, watchActivity } from '../service/activity.ts';
import { BatchHistory } from './batch-history.ts';
import { largest, quantile, Series, sum } from './series.ts';
import { key, keyRequired, loadModels, modelId } from './service.ts';

/** A worker that was not heard of for so long is shown no more. */
const SILENCE_MS = 6_000;
const SPAN_MS = 250;
const SPANS = 120;

interface Watched {
  history: BatchHistory;
  heardAt: number;
}

export const connected: Signal<boolean> = signal(false);
export const queue: Signal<{ waiting: number; running: number }> = signal({ waiting: 0, running: 0 });
/** By name. */
const workers: Signal<ReadonlyMap<string, Watched>> = signal(new Map());
/** Workers that were heard of lately, by name. */
export const histories: ReadonlySignal<readonly BatchHistory[]> = computed(() =>
  [...workers.value.values()].map(({ history }) => history).sort((a, b) => a.worker.localeCompare(b.worker)),
);

const span = { spanMs: SPAN_MS, spans: SPANS, now: performance.now() };
const collected = {
  waiting: new Series({ ...span, merge: largest }),
  tokensPerSecond: new Series({ ...span, merge: (values) => sum(values) * (1_000 / SPAN_MS) }),
  firstTokenMs: new Series({ ...span, merge: (values) => quantile(values, 0.5) }),
};
type Values = readonly (number | undefined)[];
/** What the charts draw, oldest first; renewed four times a second. */
export const charts: Signal<Readonly<Record<keyof typeof collected, Values>>> = signal(chartValues());
/** Seconds that the charts look back. */
export const CHART_SECONDS: number = (SPAN_MS * SPANS) / 1_000;

/** Watches whatever model is chosen, for as long as the page is open. */
export function startWatching(): void {
  effect(() => {
    const chosen = modelId.value;
    const withKey = key.value;
    if (chosen === undefined || keyRequired.value) return undefined;
    const leaving = new AbortController();
    workers.value = new Map();
    const watching = watchActivity({ model: chosen, key: withKey, signal: leaving.signal }, take, (now) => {
      connected.value = now;
    });
    // The server's keys have changed: listing the models finds out, and asks for another.
    void watching.then((end) => (end === 'refused' ? loadModels() : undefined));
    return () => leaving.abort();
  });
  setInterval(tick, SPAN_MS);
}

function take(event: Frame | QueueFrame): void {
  const now = performance.now();
  if (event.object === 'activity.queue') {
    queue.value = { waiting: event.waiting, running: event.running };
    collected.waiting.add(event.waiting, now);
    return;
  }
  const history = workers.value.get(event.worker)?.history ?? new BatchHistory(event.worker);
  workers.value = new Map(workers.value).set(event.worker, { history: history.after(event), heardAt: now });
  if (event.generated_tokens > 0) collected.tokensPerSecond.add(event.generated_tokens, now);
  for (const ms of event.first_tokens_ms) collected.firstTokenMs.add(ms, now);
}

function tick(): void {
  const now = performance.now();
  for (const series of Object.values(collected)) series.advance(now);
  charts.value = chartValues();
  const heard = [...workers.value].filter(([, { heardAt }]) => now - heardAt <= SILENCE_MS);
  if (heard.length < workers.value.size) workers.value = new Map(heard);
}

function chartValues(): Record<keyof typeof collected, Values> {
  const { waiting, tokensPerSecond, firstTokenMs } = collected;
  return { waiting: waiting.values, tokensPerSecond: tokensPerSecond.values, firstTokenMs: firstTokenMs.values };
}
