import { batch, computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { type RideJson, streamAnswers, type Timings } from '../service/answers.ts';
import { hueOf } from './colour.ts';
import { chooseModel, key, model, notice, waitingFor } from './service.ts';

export type AnswerState = 'waiting' | 'writing' | 'done' | 'cancelled' | 'failed';

/** One prompt and what came of it. */
export interface Answer {
  readonly id: number;
  readonly prompt: string;
  readonly jobId: Signal<string | undefined>;
  readonly text: Signal<string>;
  readonly state: Signal<AnswerState>;
  readonly ride: Signal<RideJson | undefined>;
}

/** Everything that was sent with one press of a button. */
interface Sending {
  readonly answers: readonly Answer[];
  readonly abort: AbortController;
  readonly sentAt: number;
  tokens: number;
}

/** A browser opens six connections; one is for the batch picture and one for the rest. */
const MOST_SENDINGS = 4;
const MOST_ANSWERS = 150;

/** Newest sending first. */
export const answers: Signal<readonly Answer[]> = signal([]);
const sendings: Signal<readonly Sending[]> = signal([]);
export const busy: ReadonlySignal<boolean> = computed(() => sendings.value.length > 0);
export const full: ReadonlySignal<boolean> = computed(() => sendings.value.length >= MOST_SENDINGS);
/** Answers by the id of their job. */
export const byJob: ReadonlySignal<ReadonlyMap<string, Answer>> = computed(
  () =>
    new Map(
      answers.value.flatMap((answer) => (answer.jobId.value === undefined ? [] : [[answer.jobId.value, answer]])),
    ),
);
/** The job that somebody points at, in any of the pictures. */
export const pointedAt: Signal<string | undefined> = signal(undefined);
/** Times of the answers that are complete. */
export const timings: ReadonlySignal<readonly Timings[]> = computed(() =>
  answers.value.flatMap(({ ride }) => (ride.value === undefined ? [] : [ride.value.timings])),
);

let sent = 0;

export async function send(
  prompts: readonly string[],
  options: { maxTokens: number; temperature: number },
): Promise<void> {
  const asked = model.value;
  if (asked === undefined || full.value) return;
  const sending = {
    answers: prompts.map(newAnswer),
    abort: new AbortController(),
    sentAt: performance.now(),
    tokens: 0,
  };
  batch(() => {
    answers.value = [...sending.answers, ...answers.value].slice(0, MOST_ANSWERS);
    sendings.value = [...sendings.value, sending];
    // Whoever asked a model wants to see it, even when another one gets a worker first.
    chooseModel(asked.id);
    const sentWhat = prompts.length === 1 ? 'Sent one prompt.' : `Sent ${prompts.length} prompts.`;
    notice.value = asked.workers > 0 ? sentWhat : `${sentWhat} ${waitingFor(asked)}`;
  });
  try {
    const asking = { ...options, model: asked, prompts, key: key.value, signal: sending.abort.signal };
    await streamAnswers(asking, listenerOf(sending));
    notice.value = summaryOf(sending);
  } catch (error) {
    endWith(sending, error);
  } finally {
    sendings.value = sendings.value.filter((other) => other !== sending);
  }
}

/** Cancels all that is on its way: the server sees the connection close. */
export function cancelAll(): void {
  for (const { abort } of sendings.value) abort.abort();
}

/** The colour of an answer, known with its job. */
export function answerHue(answer: Answer): number | undefined {
  return answer.jobId.value === undefined ? undefined : hueOf(answer.jobId.value);
}

function newAnswer(prompt: string): Answer {
  sent += 1;
  return {
    id: sent,
    prompt,
    jobId: signal(undefined),
    text: signal(''),
    state: signal('waiting'),
    ride: signal(undefined),
  };
}

function listenerOf(sending: Sending): Parameters<typeof streamAnswers>[1] {
  return {
    onJobs: (ids) =>
      batch(() => {
        for (const [index, answer] of sending.answers.entries()) answer.jobId.value = ids[index];
      }),
    onText: (index, text) => {
      const answer = sending.answers[index];
      if (answer === undefined) return;
      answer.state.value = 'writing';
      answer.text.value = (answer.text.value + text).trimStart();
    },
    onEnd: (index, ride) => {
      const answer = sending.answers[index];
      if (answer === undefined) return;
      answer.state.value = 'done';
      answer.ride.value = ride;
    },
    onTokens: (generated) => {
      sending.tokens = generated;
    },
  };
}

function endWith(sending: Sending, error: unknown): void {
  const cancelled = sending.abort.signal.aborted;
  batch(() => {
    for (const { state } of sending.answers)
      if (state.value !== 'done') state.value = cancelled ? 'cancelled' : 'failed';
    const done = sending.answers.filter(({ state }) => state.value === 'done').length;
    if (cancelled) notice.value = `Cancelled: ${done} of ${sending.answers.length} were complete.`;
    else notice.value = error instanceof Error ? error.message : String(error);
  });
}

function summaryOf({ answers: mine, sentAt, tokens }: Sending): string {
  const seconds = (performance.now() - sentAt) / 1000;
  const what = mine.length === 1 ? 'One answer' : `${mine.length} answers`;
  return `${what}: ${tokens} tokens in ${seconds.toFixed(2)} s, ${Math.round(tokens / seconds)} a second.`;
}
