import { describe, expect, it } from 'vitest';
import { type BullmqScript, pinnedText, splitScript } from './bullmq-scripts.ts';

const SCRIPTS: BullmqScript[] = [
  'addPrioritizedJob-9',
  'moveToActive-11',
  'moveToFinished-14',
  'moveJobFromActiveToWait-9',
  'moveStalledJobsToWait-9',
  'moveToDelayed-11',
];

const words = (text: string): Set<string> => new Set(text.match(/[A-Za-z_]\w*/g) ?? []);
/** Names that a piece of Lua declares, at any depth: locals, loop variables, parameters. */
const declared = (text: string): Set<string> =>
  words(
    [...text.matchAll(/(?:local|for)\s+([\w\s,]+?)\s*(?:=|in\b|\n)|function\s*\w*\s*\(([^)]*)\)/g)]
      .map((m) => m[1] ?? m[2] ?? '')
      .join(' '),
  );

describe('the scripts of BullMQ', () => {
  it.each(SCRIPTS)(
    '%s: its functions use none of the variables of its body, so that they may stand outside',
    (script) => {
      const { functions, body } = splitScript(pinnedText(script));
      const bodyLocals = [...body.matchAll(/^\s*local\s+([\w\s,]+?)\s*(?:=|$)/gm)].flatMap((match) => [
        ...words(match[1] ?? ''),
      ]);
      for (const text of functions) {
        const code = text.replace(/--\[\[[\s\S]*?\]\]|--.*$|"[^"\n]*"|'[^'\n]*'/gm, '');
        const own = declared(code);
        const free = bodyLocals.filter((name) => name !== 'rcall' && words(code).has(name) && !own.has(name));
        expect(free, code.slice(0, 80)).toEqual([]);
      }
    },
  );

  it('are split without losing a line', () => {
    const text = pinnedText('moveToFinished-14');
    const { functions, body } = splitScript(text);
    expect(functions.length).toBeGreaterThan(20);
    const lines = (of: string): number => of.split('\n').length;
    expect(lines(body) + functions.reduce((sum, each) => sum + lines(each), 0)).toBe(lines(text));
  });
});
