import { Command } from 'commander';
import { answerJson } from '../answer-json.ts';
import type { Where } from '../connect.ts';
import type { WithClient } from '../program.ts';
import { EXIT, type Terminal } from '../terminal.ts';

/** `shoal tail ID` */
export function tailCommand({ stdout, signal }: Terminal, withClient: WithClient): Command {
  return new Command('tail')
    .description("Show a job's answer from its beginning, then as it comes. Leaving does not cancel it.")
    .argument('<id>', 'id of the job')
    .option('--json', 'print the whole result as JSON when it is there')
    .action((id: string, options: Where & { json?: boolean }) =>
      withClient(options, async (client) => {
        const stream = client.follow(id, { signal });
        if (options.json) {
          stdout.write(`${JSON.stringify(answerJson({ id, result: await stream.result() }))}\n`);
          return EXIT.ok;
        }
        // Of several answers the first is shown as it comes; --json has them all.
        for await (const { text, choice } of stream) if (choice === 0) stdout.write(text);
        stdout.write('\n');
        return EXIT.ok;
      }),
    );
}
