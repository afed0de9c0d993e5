import { CHART_SECONDS, charts, queue } from '../state/activity.ts';

const WIDTH = 240;
const HEIGHT = 56;

export function Charts() {
  const { waiting, tokensPerSecond, firstTokenMs } = charts.value;
  return (
    <section class="charts" aria-label={`The last ${CHART_SECONDS} seconds`}>
      <Chart title="Waiting in the queue" unit="jobs" values={waiting} now={queue.value.waiting} kind="area" />
      <Chart title="Tokens per second" unit="tokens/s" values={tokensPerSecond} kind="area" />
      <Chart title="Time to first token" unit="ms" values={firstTokenMs} kind="dots" />
    </section>
  );
}

interface ChartProps {
  title: string;
  unit: string;
  values: readonly (number | undefined)[];
  now?: number;
  kind: 'area' | 'dots';
}

function Chart({ title, unit, values, now, kind }: ChartProps) {
  const known = values.filter((value) => value !== undefined);
  const peak = known.length === 0 ? 0 : Math.max(...known);
  const shown = now ?? known.at(-1) ?? 0;
  const top = Math.max(peak, 1);
  return (
    <figure class={`panel chart ${kind}`}>
      <figcaption>
        <span class="name">{title}</span>
        <span class="value">
          {Math.round(shown)} <small>{unit}</small>
        </span>
        <span class="peak">peak {Math.round(peak)}</span>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {kind === 'area' ? <path class="fill" d={areaOf(values, top)} /> : <Dots values={values} top={top} />}
      </svg>
    </figure>
  );
}

function areaOf(values: readonly (number | undefined)[], top: number): string {
  const width = WIDTH / values.length;
  const points = values.map((value, index) => {
    const y = (HEIGHT - ((value ?? 0) / top) * (HEIGHT - 4)).toFixed(1);
    return `V${y}H${((index + 1) * width).toFixed(1)}`;
  });
  return `M0 ${HEIGHT}${points.join('')}V${HEIGHT}Z`;
}

function Dots({ values, top }: { values: readonly (number | undefined)[]; top: number }) {
  const width = WIDTH / values.length;
  return (
    <>
      {values.map((value, index) =>
        value === undefined ? null : (
          <rect
            key={index}
            x={index * width}
            y={HEIGHT - (value / top) * (HEIGHT - 8) - 4}
            width={width * 1.5}
            height={4}
          />
        ),
      )}
    </>
  );
}
