import type { Signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { pointedAt } from '../state/answers.ts';
import type { BatchHistory, Ride } from '../state/batch-history.ts';
import { hueOf } from '../state/colour.ts';
import { nameOf } from './slot-list.tsx';

const FEWEST_STEPS = 120;
const STRIP_HEIGHT = 34;
const AXIS_HEIGHT = 18;
/** Bars narrower than this have no room for their prompt. */
const NARROWEST_NAMED = 56;
const ROOMY_LANE = 14;
/** Of the font in the bars, generously. */
const CHARACTER_WIDTH = 6.4;

/** A window of steps on a width of pixels. */
interface Scale {
  from: number;
  to: number;
  /** Left edge of a step. */
  x(step: number): number;
}

/**
 * The batch over its steps: a lane for each slot, a bar for each sequence from the step in which it joined to its last, a
 * tinted column for each prefill, and below how many sequences each step had.
 */
export function Timeline({ history, cursor }: { history: BatchHistory; cursor: Signal<number | undefined> }) {
  const frame = useRef<HTMLElement>(null);
  const width = useWidth(frame);
  const { slots, rides } = history;
  const laneHeight = slots <= 16 ? 18 : slots <= 32 ? 12 : 7;
  const scale = scaleOf(history, width);
  const visible = rides.filter(({ left }) => left === undefined || left >= scale.from);
  const lanes = slots * laneHeight;
  const look = (event: PointerEvent): void => {
    const box = frame.current?.getBoundingClientRect();
    if (box === undefined || event.buttons !== 1) return;
    const step = Math.floor(scale.from + ((event.clientX - box.left) / width) * (scale.to - scale.from + 1));
    cursor.value = Math.min(history.step, Math.max(history.pictured, step));
  };
  return (
    <figure class="timeline" ref={frame}>
      <svg
        width={width}
        height={lanes + STRIP_HEIGHT + AXIS_HEIGHT}
        aria-hidden="true"
        onPointerDown={look}
        onPointerMove={look}
      >
        <Lanes slots={slots} laneHeight={laneHeight} width={width} />
        <Prefills history={history} scale={scale} height={lanes} />
        {visible.map((ride) => (
          <Bar
            key={`${ride.lane}/${ride.joined}`}
            ride={ride}
            last={history.step}
            scale={scale}
            laneHeight={laneHeight}
          />
        ))}
        <Strip history={history} scale={scale} top={lanes} />
        <Axis scale={scale} width={width} y={lanes + STRIP_HEIGHT + AXIS_HEIGHT - 4} />
        {cursor.value === undefined ? null : (
          <rect
            class="cursor"
            x={scale.x(cursor.value)}
            y={0}
            width={Math.max(2, scale.x(cursor.value + 1) - scale.x(cursor.value))}
            height={lanes + STRIP_HEIGHT}
          />
        )}
      </svg>
      <figcaption>
        <span>{summaryOf(history, visible)}</span>
        <span class="legend">
          <i class="key prefill" /> prefill <i class="key joined" /> joined <i class="key left" /> left
        </span>
      </figcaption>
    </figure>
  );
}

function summaryOf(history: BatchHistory, visible: readonly Ride[]): string {
  if (history.step === 0 || visible.length === 0) return 'No step was seen yet: send something.';
  const most = history.largestBatch;
  const joined = visible.length === 1 ? 'one sequence' : `${visible.length} sequences`;
  return `${joined}, up to ${most} of ${history.slots} slots busy in one step`;
}

function scaleOf({ step, pictured: from }: BatchHistory, width: number): Scale {
  const to = Math.max(step, from + FEWEST_STEPS - 1);
  const perStep = width / (to - from + 1);
  return { from, to, x: (at) => (at - from) * perStep };
}

function Lanes({ slots, laneHeight, width }: { slots: number; laneHeight: number; width: number }) {
  return (
    <g class="lanes">
      {Array.from({ length: slots }, (_, lane) => (
        <rect key={lane} x={0} y={lane * laneHeight} width={width} height={laneHeight - 2} rx={3} />
      ))}
    </g>
  );
}

function Prefills({ history, scale, height }: { history: BatchHistory; scale: Scale; height: number }) {
  const runs = history.runs.filter(({ phase, from, count }) => phase === 'prefill' && from + count > scale.from);
  return (
    <g class="prefills">
      {runs.map(({ from, count }) => (
        <rect
          key={from}
          x={scale.x(from)}
          y={0}
          width={Math.max(1.5, scale.x(from + count) - scale.x(from))}
          height={height}
        />
      ))}
    </g>
  );
}

interface BarProps {
  ride: Ride;
  /** The last step there was. */
  last: number;
  scale: Scale;
  laneHeight: number;
}

function Bar({ ride, last, scale, laneHeight }: BarProps) {
  const { lane, joined, left, job_id: jobId } = ride;
  const x = Math.max(-4, scale.x(joined));
  const width = Math.max(3, scale.x((left ?? Math.max(last, joined)) + 1) - x - 1);
  const height = laneHeight - 2;
  const classes = ['bar', jobId === undefined ? 'foreign' : '', left === undefined ? 'riding' : ''];
  if (jobId !== undefined && pointedAt.value === jobId) classes.push('pointed');
  return (
    <g
      class={classes.filter((name) => name !== '').join(' ')}
      style={jobId === undefined ? {} : { '--hue': String(hueOf(jobId)) }}
      data-joined={joined}
      data-left={left}
      onPointerEnter={() => {
        pointedAt.value = jobId;
      }}
      onPointerLeave={() => {
        pointedAt.value = undefined;
      }}
    >
      <rect class="body" x={x} y={lane * laneHeight} width={width} height={height} rx={3} />
      <rect class="joined" x={x} y={lane * laneHeight} width={2.5} height={height} rx={1} />
      {left === undefined ? null : (
        <rect class="left" x={x + width - 2} y={lane * laneHeight} width={2} height={height} rx={1} />
      )}
      {width < NARROWEST_NAMED || laneHeight < ROOMY_LANE ? null : (
        <text x={x + 7} y={lane * laneHeight + height - 4.5}>
          {shortened(nameOf(ride), Math.floor((width - 12) / CHARACTER_WIDTH))}
        </text>
      )}
    </g>
  );
}

function shortened(text: string, characters: number): string {
  return text.length <= characters ? text : `${text.slice(0, characters - 1)}…`;
}

/** How many sequences each step had. */
function Strip({ history, scale, top }: { history: BatchHistory; scale: Scale; top: number }) {
  const runs = history.runs.filter(({ from, count }) => from + count > scale.from);
  const room = STRIP_HEIGHT - 8;
  return (
    <g class="strip">
      {runs.map(({ from, count, rows, phase }) => {
        const height = (rows / Math.max(1, history.slots)) * room;
        const x = scale.x(Math.max(from, scale.from));
        return (
          <rect
            key={from}
            class={phase}
            x={x}
            y={top + 6 + room - height}
            width={Math.max(1, scale.x(from + count) - x)}
            height={height}
          />
        );
      })}
    </g>
  );
}

function Axis({ scale, width, y }: { scale: Scale; width: number; y: number }) {
  return (
    <g class="axis">
      <text x={0} y={y}>
        step {scale.from}
      </text>
      <text x={width / 2} y={y} text-anchor="middle">
        sequences in each step
      </text>
      <text x={width} y={y} text-anchor="end">
        {scale.to}
      </text>
    </g>
  );
}

const WIDTH_BEFORE_MEASURED = 640;

function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(WIDTH_BEFORE_MEASURED);
  useEffect(() => {
    if (element.current === null) return undefined;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) setWidth(Math.max(160, Math.floor(entry.contentRect.width)));
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return width;
}
