import { Command } from 'commander';
import type { Where } from '../connect.ts';
import type { WithClient } from '../program.ts';
import { EXIT, type Terminal } from '../terminal.ts';

/** `shoal cancel ID...` */
export function cancelCommand({ stdout, signal }: Terminal, withClient: WithClient): Command {
  return new Command('cancel')
    .description('Cancel jobs. One that runs stops at the next step of its worker.')
    .argument('<id...>', 'ids of the jobs')
    .option('--json', 'print one JSON object per job')
    .action((ids: string[], options: Where & { json?: boolean }) =>
      withClient(options, async (client) => {
        for (const id of ids) {
          const { status } = await client.cancel(id, { signal });
          stdout.write(options.json ? `${JSON.stringify({ id, status })}\n` : `${id} ${wordFor(status)}\n`);
        }
        return EXIT.ok;
      }),
    );
}

function wordFor(status: string): string {
  return status === 'running' ? 'stopping' : status;
}
