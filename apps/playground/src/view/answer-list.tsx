import { type Answer, type AnswerState, answerHue, answers, busy, pointedAt } from '../state/answers.ts';

const STATES: Readonly<Record<AnswerState, string>> = {
  waiting: 'waiting',
  writing: 'writing',
  done: 'complete',
  cancelled: 'cancelled',
  failed: 'failed',
};

export function AnswerList() {
  return (
    <section class="answers" aria-labelledby="answers-title">
      <h2 id="answers-title">Answers</h2>
      {answers.value.length === 0 ? <p class="empty">Nothing was asked yet.</p> : null}
      <ol aria-busy={busy.value}>
        {answers.value.map((answer) => (
          <AnswerCard key={answer.id} answer={answer} />
        ))}
      </ol>
    </section>
  );
}

function AnswerCard({ answer }: { answer: Answer }) {
  const { prompt, text, state, jobId } = answer;
  const hue = answerHue(answer);
  const pointed = jobId.value !== undefined && pointedAt.value === jobId.value;
  return (
    <li
      class={pointed ? 'answer pointed' : 'answer'}
      data-state={state.value}
      style={hue === undefined ? {} : { '--hue': String(hue) }}
      onPointerEnter={() => {
        pointedAt.value = jobId.value;
      }}
      onPointerLeave={() => {
        pointedAt.value = undefined;
      }}
    >
      <p class="question">{prompt}</p>
      <p class="text">{text}</p>
      <p class="ride">{rideText(answer)}</p>
    </li>
  );
}

function rideText({ state, ride }: Answer): string {
  if (ride.value === undefined) return STATES[state.value];
  const { batch, timings } = ride.value;
  const waited = Math.round(timings.started_at - timings.queued_at);
  const ran = Math.round(timings.finished_at - timings.started_at);
  const others = batch.size === 1 ? 'joined alone' : `joined as one of ${batch.size}`;
  return `${others} · waited ${waited} ms · ran ${ran} ms`;
}
