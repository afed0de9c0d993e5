import { type ShoalClient, ShoalError } from '@shoal/client';
import { Command, CommanderError } from 'commander';
import { benchCommand } from './commands/bench.ts';
import { cancelCommand } from './commands/cancel.ts';
import { enqueueCommand } from './commands/enqueue.ts';
import { modelCommand } from './commands/model.ts';
import { queuesCommand } from './commands/queues.ts';
import { replayCommand } from './commands/replay.ts';
import { settingsCommands } from './commands/settings.ts';
import { tailCommand } from './commands/tail.ts';
import { connect, type Where, whereOptions } from './connect.ts';
import { EXIT, type Terminal, UsageError } from './terminal.ts';

/** Runs a command's work with a client that is closed afterwards; its exit code becomes the process's. */
export type WithClient = (where: Where, work: (client: ShoalClient) => Promise<number>) => Promise<void>;

/** Runs a command's work; its exit code becomes the process's. */
export type RunCommand = (work: () => Promise<number>) => Promise<void>;

/** Runs one command line; resolves with the exit code. */
export async function shoal(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = EXIT.ok;
  const withClient: WithClient = async (where, work) => {
    const client = connect(where, terminal.env);
    try {
      exitCode = await work(client);
    } finally {
      await client.close();
    }
  };
  const run: RunCommand = async (work) => {
    exitCode = await work();
  };
  try {
    await programOf(terminal, withClient, run).parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    return explain(error, terminal);
  }
}

function programOf(terminal: Terminal, withClient: WithClient, run: RunCommand): Command {
  const program = new Command('shoal')
    .description('Prompts in, answers out: a client of Shoal for the shell.')
    .addHelpText(
      'after',
      '\nExit codes: 0 all went well, 1 a request failed or a model is refused, 2 the command line or an input is wrong.',
    );
  for (const make of [enqueueCommand, tailCommand, replayCommand, cancelCommand, queuesCommand]) {
    const command = make(terminal, withClient);
    for (const option of whereOptions(terminal.env)) command.addOption(option);
    program.addCommand(command);
  }
  program.addCommand(benchCommand(terminal, run));
  program.addCommand(modelCommand(terminal, run));
  for (const command of settingsCommands(terminal)) program.addCommand(command);
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
    });
  }
  return program;
}

/** Says what went wrong in a line; returns the exit code that it stands for. */
function explain(error: unknown, { stderr }: Terminal): number {
  // Commander has written its own message already; --help is no failure, no command at all is.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof UsageError) {
    stderr.write(`shoal: ${error.message}\n`);
    return EXIT.usage;
  }
  if (error instanceof ShoalError) {
    stderr.write(`shoal: ${error.code}: ${error.message}\n`);
    return EXIT.failed;
  }
  throw error;
}
