import type { QueueState } from '@shoal/client';
import { Command } from 'commander';
import type { Where } from '../connect.ts';
import type { WithClient } from '../program.ts';
import { EXIT, type Terminal } from '../terminal.ts';

/** `shoal queues` */
export function queuesCommand({ stdout, signal }: Terminal, withClient: WithClient): Command {
  return new Command('queues')
    .description('Show the served models: workers, and jobs that wait or run.')
    .option('--json', 'print one JSON object per model')
    .action((options: Where & { json?: boolean }) =>
      withClient(options, async (client) => {
        const queues = await client.queues({ signal });
        stdout.write(options.json ? queues.map((queue) => `${JSON.stringify(queue)}\n`).join('') : table(queues));
        return EXIT.ok;
      }),
    );
}

function table(queues: readonly QueueState[]): string {
  if (queues.length === 0) return 'no model is served\n';
  const rows = [
    ['MODEL', 'WORKERS', 'WAITING', 'RUNNING', 'CONTEXT', 'CHAT'],
    ...queues.map(({ model, workers, waiting, running, maxModelLen, chat }) => [
      model,
      ...[workers, waiting, running, maxModelLen].map((count) => String(count ?? '?')),
      chat ? 'yes' : 'no',
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}
