import { changeableNames, faultOf, maskCredentials } from '@shoal/config';
import type { WorkerReport } from '@shoal/protocol';
import { type ModelRegistry, openRegistry } from '@shoal/queue';
import { Command, Option } from 'commander';
import { type Terminal, UsageError } from '../terminal.ts';

interface QueueAddress {
  redis: string;
  prefix: string;
}

/** `shoal settings MODEL` and `shoal set MODEL NAME=VALUE…`: what can be changed while a model's processes run. */
export function settingsCommands(terminal: Terminal): Command[] {
  const { stdout, env } = terminal;
  const redisUrl = env.REDIS_URL ?? 'redis://127.0.0.1:6379';
  const settings = new Command('settings')
    .description('Show the settings of a model that can be changed while it is served.')
    .argument('<model>', 'a served model')
    .option('--json', 'print one JSON object')
    .action(async (model: string, options: QueueAddress & { json?: boolean }) => {
      await withRegistry(options, async (registry) => {
        const [changed, workers] = await Promise.all([registry.settings(model), registry.reports(model)]);
        stdout.write(options.json ? `${JSON.stringify({ changed, workers })}\n` : tableOf(changed, workers));
      });
    });
  const set = new Command('set')
    .description('Change settings of a model while it is served; workers follow within five seconds.')
    .argument('<model>', 'a served model')
    .argument('<change...>', `NAME=VALUE; NAME= takes it back. ${changeableNames.join(', ')}`)
    .action(async (model: string, given: string[], options: QueueAddress) => {
      const changes = Object.fromEntries(given.map(readChange));
      await withRegistry(options, async (registry) => {
        const [workers, models] = await Promise.all([registry.reports(model), registry.list()]);
        if (!models.some(({ card }) => card.name === model)) {
          throw new UsageError(`no worker has ever announced the model ${JSON.stringify(model)}; see \`shoal queues\``);
        }
        requireSlots(changes, workers);
        await registry.changeSettings(model, changes);
      });
      for (const [name, value] of Object.entries(changes)) stdout.write(`${name} ${value ?? '(as started)'}\n`);
    });
  for (const command of [settings, set]) {
    command
      .addOption(
        // --help shows it.
        new Option('--redis <url>', 'the queue’s Redis [REDIS_URL]').default(redisUrl, maskCredentials(redisUrl)),
      )
      .addOption(
        new Option('--prefix <prefix>', 'the cluster’s QUEUE_PREFIX [QUEUE_PREFIX]').default(
          env.QUEUE_PREFIX ?? 'shoal',
        ),
      );
  }
  return [settings, set];
}

/** One change; an empty value takes it back. Everything is checked before anything is changed. */
function readChange(text: string): [name: string, value: string | undefined] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`${JSON.stringify(text)} is no change: write NAME=VALUE`);
  const name = text.slice(0, at);
  const value = text.slice(at + 1);
  const fault = value === '' && changeableNames.includes(name) ? undefined : faultOf(name, value);
  if (fault !== undefined) throw new UsageError(`${name}=${fault.value}: ${fault.problem}`);
  return [name, value === '' ? undefined : value];
}

/** A worker's slots are fixed when it starts: a larger batch would be silently smaller. */
function requireSlots(changes: Readonly<Record<string, string | undefined>>, workers: readonly WorkerReport[]): void {
  const wanted = Number(changes['MAX_BATCH_SIZE'] ?? 0);
  const fewest = Math.min(...workers.map(({ slots }) => slots));
  if (wanted <= fewest) return;
  throw new UsageError(`MAX_BATCH_SIZE=${wanted}: a worker was started with ${fewest} slots; restart it for more`);
}

async function withRegistry(address: QueueAddress, work: (registry: ModelRegistry) => Promise<void>): Promise<void> {
  const registry = openRegistry({ redisUrl: address.redis, prefix: address.prefix });
  try {
    await work(registry);
  } finally {
    registry.close();
  }
}

function tableOf(changed: Readonly<Record<string, string>>, workers: readonly WorkerReport[]): string {
  const rows = changeableNames.map((name) => {
    const inForce = workers.flatMap(({ settings }) => settings[name] ?? []);
    const values = [...new Set(inForce)].map((value) => `${value} (${inForce.filter((one) => one === value).length})`);
    return [name, changed[name] ?? '(as started)', values.join(', ') || '-'];
  });
  const all = [['SETTING', 'CHANGED TO', 'IN FORCE (WORKERS)'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
