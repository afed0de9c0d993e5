/** A line of a chart: points from left to right. */
export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface ChartOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  /** Ten times as much is as far as ten times as much again. */
  readonly logY?: boolean;
}

const [WIDTH, HEIGHT] = [860, 440];
const PLOT = { left: 70, top: 44, right: 560, bottom: 380 };
/** Okabe and Ito's colours, which colour-blind people tell apart; dashes tell the second round of them. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
const TICKS = 5;

/** A line chart as an SVG document, readable on light and dark pages. */
export function lineChart({ title, xLabel, yLabel, series, logY = false }: ChartOptions): string {
  const points = series.flatMap((line) => line.points).filter(({ y }) => Number.isFinite(y) && (!logY || y > 0));
  const xMax = Math.max(1, ...points.map(({ x }) => x));
  const yMax = Math.max(...points.map(({ y }) => y), Number.MIN_VALUE);
  const yMin = logY ? 10 ** Math.floor(Math.log10(Math.min(yMax, ...points.map(({ y }) => y)))) : 0;
  const top = logY ? 10 ** Math.ceil(Math.log10(yMax * 1.0001)) : niceCeiling(yMax);
  const x = (value: number): number => PLOT.left + (value / xMax) * (PLOT.right - PLOT.left);
  const share = (value: number): number =>
    logY ? Math.log(value / yMin) / Math.log(top / yMin) : (value - yMin) / (top - yMin);
  const y = (value: number): number => PLOT.bottom - share(value) * (PLOT.bottom - PLOT.top);
  const yTicks = logY
    ? Array.from({ length: Math.round(Math.log10(top / yMin)) + 1 }, (_, i) => yMin * 10 ** i)
    : Array.from({ length: TICKS + 1 }, (_, i) => (top * i) / TICKS);
  const xTicks = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(PLOT.left, 24, title, 'start', 'font-size="15" font-weight="600"'),
    ...yTicks.map(
      (tick) => rule(PLOT.left, y(tick), PLOT.right, y(tick)) + text(PLOT.left - 8, y(tick) + 4, short(tick), 'end'),
    ),
    ...xTicks.map((tick) => text(x(tick), PLOT.bottom + 18, short(tick), 'middle')),
    text((PLOT.left + PLOT.right) / 2, HEIGHT - 14, xLabel, 'middle'),
    `<g transform="translate(18 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)">${text(0, 0, yLabel, 'middle')}</g>`,
    ...series.flatMap((line, i) => {
      const colour = COLOURS[i % COLOURS.length] ?? '#000';
      const dash = i < COLOURS.length ? '' : ' stroke-dasharray="6 4"';
      const drawn = line.points.filter((point) => Number.isFinite(point.y) && (!logY || point.y > 0));
      const path = drawn.map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(' ');
      const legendY = PLOT.top + 8 + i * 22;
      return [
        `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
        ...drawn.map(
          (point) => `<circle cx="${x(point.x).toFixed(1)}" cy="${y(point.y).toFixed(1)}" r="3" fill="${colour}"/>`,
        ),
        `<line x1="${PLOT.right + 20}" x2="${PLOT.right + 46}" y1="${legendY}" y2="${legendY}" stroke="${colour}" stroke-width="2"${dash}/>`,
        text(PLOT.right + 52, legendY + 4, line.name, 'start', 'font-size="11"'),
      ];
    }),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

function rule(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${x1}" x2="${x2}" y1="${y1.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="#ddd"/>`;
}

function text(x: number, y: number, content: string, anchor: string, more = ''): string {
  const safe = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="#222" ${more}>${safe}</text>`;
}

function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 2.5, 5, 10].find((step) => step * power >= value) ?? 10);
}

function short(value: number): string {
  return value >= 10_000 ? `${value / 1000}k` : String(Number(value.toPrecision(3)));
}
