import type { Timings } from '../service/answers.ts';
import { timings } from '../state/answers.ts';
import { quantile } from '../state/series.ts';

const ROWS: readonly { name: string; of(times: Timings): number }[] = [
  { name: 'In the queue', of: ({ queued_at, started_at }) => started_at - queued_at },
  { name: 'To first token', of: ({ queued_at, first_token_at }) => first_token_at - queued_at },
  { name: 'Writing', of: ({ first_token_at, finished_at }) => finished_at - first_token_at },
  { name: 'In all', of: ({ queued_at, finished_at }) => finished_at - queued_at },
];
const QUANTILES = [0.5, 0.9, 1] as const;

export function LatencyTable() {
  const measured = timings.value;
  return (
    <section class="panel latency" aria-labelledby="latency-title">
      <h2 id="latency-title">Latency</h2>
      <table>
        <caption>
          {measured.length === 1 ? 'One answer' : `${measured.length} answers`} of this page, in milliseconds
        </caption>
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Median</th>
            <th scope="col">90 %</th>
            <th scope="col">Worst</th>
          </tr>
        </thead>
        <tbody>
          {ROWS.map(({ name, of }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {QUANTILES.map((q) => (
                <td key={q}>{measured.length === 0 ? '–' : Math.round(quantile(measured.map(of), q))}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
