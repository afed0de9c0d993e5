import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { z } from 'zod';

/**
 * BullMQ's own scripts, word for word, as Lua functions inside ours: a job is added, finished, claimed and handed back
 * by BullMQ's code, in the same round trip as Shoal's own writes. The texts are internal to BullMQ, so its version is
 * pinned and the texts' hashes are checked when this module loads.
 */
const PINNED: Readonly<Record<BullmqScript, string>> = {
  'addPrioritizedJob-9': 'd4652d1be004a3d7',
  'moveToActive-11': '7d35069db0b831af',
  'moveToFinished-14': '8e744ec5d65dbe9e',
  'moveJobFromActiveToWait-9': 'ac9546cdd23294a2',
  'moveStalledJobsToWait-9': 'dad86d89b50d825f',
  'moveToDelayed-11': '1a7b9311ef92fd66',
};

export type BullmqScript =
  | 'addPrioritizedJob-9'
  | 'moveToActive-11'
  | 'moveToFinished-14'
  | 'moveJobFromActiveToWait-9'
  | 'moveStalledJobsToWait-9'
  | 'moveToDelayed-11';

const ScriptFile = z.record(z.string(), z.object({ content: z.string() }));

const require = createRequire(import.meta.url);

/**
 * BullMQ's text as the Lua function `luaName(KEYS, ARGV)`. The functions at its top level are made once per run of our
 * script instead of once per call (half of the script's time at 32 jobs), and not before the first call: most runs need
 * few of them. Its other statements are the function's body.
 */
export function bullmqFunction(luaName: string, script: BullmqScript): string {
  const { functions, body } = splitScript(pinnedText(script));
  return [
    `local ${luaName}`,
    'do',
    'local function make()',
    'local rcall = redis.call',
    ...functions,
    'return function(KEYS, ARGV)',
    body,
    'end',
    'end',
    'local made',
    `${luaName} = function(KEYS, ARGV)`,
    'made = made or make()',
    'return made(KEYS, ARGV)',
    'end',
    'end',
    '',
  ].join('\n');
}

/** A Lua text's top-level functions, in order, and the rest. Relies on BullMQ's layout: both ends stand in column one. */
export function splitScript(text: string): { functions: string[]; body: string } {
  const functions: string[] = [];
  const body: string[] = [];
  let open: string[] | undefined;
  for (const line of text.split('\n')) {
    if (open === undefined && !/^local (function \w|\w+ = function)/.test(line)) {
      body.push(line);
      continue;
    }
    open = [...(open ?? []), line];
    if (line !== 'end') continue;
    functions.push(open.join('\n'));
    open = undefined;
  }
  if (open !== undefined) throw new Error('a function of a BullMQ script does not end where it should');
  return { functions, body: body.join('\n') };
}

/** Throws when the installed BullMQ is not the one these scripts were written against. */
export function pinnedText(script: BullmqScript): string {
  const file = ScriptFile.parse(require(`bullmq/dist/cjs/scripts/${script}.js`));
  const text = Object.values(file)[0]?.content ?? '';
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  if (hash !== PINNED[script]) {
    throw new Error(
      `BullMQ's script ${script} is not the one this version of Shoal was written against (hash ${hash}, expected ` +
        `${PINNED[script]}): install bullmq 6.7.0 exactly, as package.json of @shoal/queue asks`,
    );
  }
  return text;
}
