import { type ShoalClient, ShoalError } from '@shoal/client';
import { Command } from 'commander';
import { answerJson } from '../answer-json.ts';
import type { Where } from '../connect.ts';
import type { WithClient } from '../program.ts';
import { EXIT, type Terminal } from '../terminal.ts';

/** `shoal cancel ID...` */
export function cancelCommand(terminal: Terminal, withClient: WithClient): Command {
  return new Command('cancel')
    .description('Cancel jobs. One that runs stops at the next step of its worker.')
    .argument('<id...>', 'ids of the jobs')
    .option('--json', 'print one JSON object per job')
    .action((ids: string[], options: Where & { json?: boolean }) =>
      withClient(options, (client) => cancelAll(client, ids, options.json === true, terminal)),
    );
}

/** One that cannot be cancelled holds up none of the others. */
async function cancelAll(
  client: ShoalClient,
  ids: readonly string[],
  json: boolean,
  terminal: Terminal,
): Promise<number> {
  const { stdout, stderr, signal } = terminal;
  let exitCode: number = EXIT.ok;
  for (const id of ids) {
    try {
      const { status } = await client.cancel(id, { signal });
      stdout.write(json ? `${JSON.stringify({ id, status })}\n` : `${id} ${wordFor(status)}\n`);
    } catch (error) {
      if (!(error instanceof ShoalError) || signal.aborted) throw error;
      exitCode = EXIT.failed;
      if (json) stdout.write(`${JSON.stringify(answerJson({ id, error: error.toBody() }))}\n`);
      else stderr.write(`shoal: ${id}: ${error.code}: ${error.message}\n`);
    }
  }
  return exitCode;
}

function wordFor(status: string): string {
  return status === 'running' ? 'stopping' : status;
}
