import { type ShoalClient, ShoalError } from '@shoal/client';
import type { GenerateResult } from '@shoal/protocol';
import { Command } from 'commander';
import { choicesOf, type Difference, firstDifference } from '../compare-answers.ts';
import type { Where } from '../connect.ts';
import type { WithClient } from '../program.ts';
import { EXIT, type Terminal, UsageError } from '../terminal.ts';

const DETAILS = `
The same prompt, options and seed are generated anew, past result cache and sharing. While the fingerprint of what
computes (model files, dtype, provider, runtime, processor) is the same, the answer must be the same to the byte.

Exit codes: 0 identical, 1 different (or the replay failed), 2 there is nothing to replay.`;

/** `shoal replay ID` */
export function replayCommand(terminal: Terminal, withClient: WithClient): Command {
  return new Command('replay')
    .description('Run a finished job again from its record, and compare the answers byte for byte.')
    .argument('<id>', 'id of a completed job')
    .option('--json', 'print the verdict as one JSON object')
    .addHelpText('after', DETAILS)
    .action((id: string, options: Where & { json?: boolean }) =>
      withClient(options, (client) => replay(client, id, options.json === true, terminal)),
    );
}

/** Both runs of one request. */
interface Runs {
  id: string;
  recorded: GenerateResult;
  replayed: GenerateResult;
}

async function replay(client: ShoalClient, id: string, json: boolean, { stdout, signal }: Terminal): Promise<number> {
  const { status, model, result: recorded } = await client.job(id, { signal }).catch(nothingToReplay);
  if (recorded === undefined) throw new UsageError(`job ${id} is ${status}: only a completed one has an answer`);
  const request = await client.request(id, { signal }).catch(nothingToReplay);
  // A client's submission has a key of its own, and is never shared or answered from what another left.
  const again = { ...request, model, seed: recorded.seed };
  const runs = { id, recorded, replayed: await client.generate(again, { signal }) };
  const difference = firstDifference(recorded, runs.replayed);
  stdout.write(json ? `${JSON.stringify(verdictJson(runs, difference))}\n` : verdictText(runs, difference));
  return difference === undefined ? EXIT.ok : EXIT.failed;
}

/** A job that is not there, or no longer, is no failure of the service. */
function nothingToReplay(error: unknown): never {
  if (error instanceof ShoalError && error.code === 'job_not_found') {
    throw new UsageError(`${error.code}: ${error.message}`);
  }
  throw error;
}

function verdictJson({ id, recorded, replayed }: Runs, difference: Difference | undefined): object {
  return {
    id,
    verdict: difference === undefined ? 'identical' : 'different',
    tokens: recorded.usage.completionTokens,
    seed: recorded.seed,
    recorded: runJson(recorded),
    replayed: runJson(replayed),
    ...(difference === undefined ? {} : { difference, because: reasonFor(recorded, replayed) }),
  };
}

function runJson({ numerics, ride, resumes, timings }: GenerateResult): object {
  return {
    numerics: numerics ?? null,
    worker: ride.worker,
    startedAt: timings.startedAt,
    ...(resumes === undefined ? {} : { resumes }),
  };
}

function verdictText({ recorded, replayed }: Runs, difference: Difference | undefined): string {
  if (difference === undefined) {
    const answers = choicesOf(recorded).length;
    const what = `${answers} ${answers === 1 ? 'answer' : 'answers'}, ${recorded.usage.completionTokens} tokens`;
    const { numerics } = replayed;
    const where =
      numerics === recorded.numerics
        ? `fingerprint ${numerics ?? 'unknown'}`
        : `fingerprints ${recorded.numerics ?? 'unknown'} and ${numerics ?? 'unknown'}`;
    return `identical: ${what}, seed ${recorded.seed}, ${where}\n`;
  }
  const { choice, what, position, recorded: before, replayed: after } = difference;
  const at = what === 'tokens' ? `token ${position} of answer ${choice}` : `${what} of answer ${choice}`;
  const values = `recorded ${JSON.stringify(before)}, replayed ${JSON.stringify(after)}`;
  return `different: ${at}: ${values}\n${reasonFor(recorded, replayed)}\n`;
}

/** Why two answers may differ, or that they should not. */
function reasonFor(recorded: GenerateResult, replayed: GenerateResult): string {
  const [before, after] = [recorded.numerics, replayed.numerics];
  if (before === undefined || after === undefined) return 'A fingerprint is not known: nothing was promised.';
  if (before !== after) return `Fingerprint ${before} computed the one, ${after} the other: nothing was promised.`;
  for (const [which, { resumes }] of [['recorded', recorded] as const, ['replayed', replayed] as const]) {
    if (resumes?.label !== 'continued') continue;
    return `The ${which} one was interrupted and continued by other numerics or a fast resume: nothing was promised.`;
  }
  return `Both were computed by ${before}: they should be the same where the model showed batch invariance.`;
}
