import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { connected, histories } from '../state/activity.ts';
import type { BatchHistory } from '../state/batch-history.ts';
import { SlotList } from './slot-list.tsx';
import { Timeline } from './timeline.tsx';

/** Replayed steps per second: slow enough to be followed. */
const REPLAY_STEPS_PER_S = 16;

export function Batches() {
  const workers = histories.value;
  return (
    <section class="batches" aria-labelledby="batch-title">
      <h2 id="batch-title">
        The batch, step by step
        <span class={connected.value ? 'live on' : 'live'}>{connected.value ? 'live' : 'not connected'}</span>
      </h2>
      {workers.length === 0 ? <p class="panel empty">No worker has told yet what it does.</p> : null}
      {workers.map((history) => (
        <WorkerBatch key={history.worker} history={history} />
      ))}
    </section>
  );
}

function WorkerBatch({ history }: { history: BatchHistory }) {
  /** The step that is looked at; undefined: the present one. */
  const cursor = useSignal<number | undefined>(undefined);
  const { slots, waiting, step, worker } = history;
  const shown = cursor.value === undefined ? history.riding : history.at(cursor.value);
  return (
    <article class="panel worker" aria-label={`Worker ${worker}`}>
      <dl class="facts">
        <Fact name="Busy slots" value={`${shown.length} of ${slots}`} wide />
        <Fact name="Step" value={String(cursor.value ?? step)} />
        <Fact name="Phase" value={phaseOf(history, cursor.value)} />
        <Fact name="Waiting in the engine" value={String(waiting)} />
        <Fact name="Worker" value={worker} small />
      </dl>
      <Timeline history={history} cursor={cursor} />
      <Scrubber history={history} cursor={cursor} />
      <SlotList slots={slots} rides={shown} />
    </article>
  );
}

function Fact({
  name,
  value,
  wide = false,
  small = false,
}: {
  name: string;
  value: string;
  wide?: boolean;
  small?: boolean;
}) {
  return (
    <div class={wide ? 'fact wide' : small ? 'fact small' : 'fact'}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function phaseOf(history: BatchHistory, cursor: number | undefined): string {
  if (cursor === undefined && history.riding.length === 0) return 'idle';
  return history.runAt(cursor ?? history.step)?.phase ?? '–';
}

function Scrubber({ history, cursor }: { history: BatchHistory; cursor: Signal<number | undefined> }) {
  const playing = useSignal(false);
  useReplay(history, cursor, playing);
  const { pictured, step } = history;
  const replay = (): void => {
    if (!playing.value && (cursor.value === undefined || cursor.value >= step)) cursor.value = pictured;
    playing.value = !playing.value;
  };
  return (
    <div class="scrubber">
      <button type="button" disabled={step === 0} onClick={replay}>
        {playing.value ? 'Pause' : 'Replay slowly'}
      </button>
      <input
        type="range"
        aria-label="Step to look at"
        aria-valuetext={describeStep(history, cursor.value)}
        disabled={step === 0}
        min={pictured}
        max={Math.max(step, pictured)}
        value={cursor.value ?? step}
        onInput={(event) => {
          playing.value = false;
          cursor.value = event.currentTarget.valueAsNumber;
        }}
      />
      <button
        type="button"
        aria-pressed={cursor.value === undefined}
        onClick={() => {
          playing.value = false;
          cursor.value = undefined;
        }}
      >
        Live
      </button>
    </div>
  );
}

function describeStep(history: BatchHistory, cursor: number | undefined): string {
  const step = cursor ?? history.step;
  const run = history.runAt(step);
  return run === undefined ? `step ${step}` : `step ${step}: ${run.phase} of ${run.rows}`;
}

function useReplay(history: BatchHistory, cursor: Signal<number | undefined>, playing: Signal<boolean>): void {
  const on = playing.value;
  const latest = useRef(history);
  latest.current = history;
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => {
      const next = (cursor.value ?? latest.current.pictured) + 1;
      if (next > latest.current.step) playing.value = false;
      else cursor.value = next;
    }, 1_000 / REPLAY_STEPS_PER_S);
    return () => clearInterval(timer);
  }, [on, cursor, playing]);
}
