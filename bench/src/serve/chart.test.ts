import { expect, test } from 'vitest';
import { lineChart } from './chart.ts';

const series = [
  {
    name: 'slow & sure',
    points: [
      { x: 10, y: 20 },
      { x: 300, y: 2_000 },
    ],
  },
  {
    name: 'fast',
    points: [
      { x: 10, y: 20 },
      { x: 300, y: Number.NaN },
    ],
  },
];

test('each series is a line through its points, higher values higher up', () => {
  const svg = lineChart({ title: 'Wait', xLabel: 'load', yLabel: 'ms', series, logY: true });
  const [first = '', second = ''] = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, points = '']) => points);
  const [from = '', to = ''] = first.split(' ');
  expect(first.split(' ')).toHaveLength(2);
  expect(second.split(' ')).toHaveLength(1);
  expect(Number(to.split(',')[1])).toBeLessThan(Number(from.split(',')[1]));
  expect(svg).toContain('slow &amp; sure');
  expect(svg).not.toContain('NaN');
});

test('a linear axis begins at nothing and ends above the highest value', () => {
  const svg = lineChart({ title: 'Goodput', xLabel: 'load', yLabel: '1/s', series });
  expect(svg).toMatch(/>0<\/text>/);
  expect(svg).toMatch(/>2000<\/text>/);
});
