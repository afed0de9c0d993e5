import { parseArgs } from 'node:util';
import { fail } from '../console/command.mjs';

/**
 * @param {string[]} args
 * @returns {{ only: string[], list: boolean, json: string | undefined }} `only` is empty for all mutants.
 */
export function readOptions(args) {
  try {
    const { values } = parseArgs({
      args,
      options: { only: { type: 'string', multiple: true }, list: { type: 'boolean' }, json: { type: 'string' } },
    });
    const only = (values.only ?? []).flatMap((names) => names.split(',')).filter((name) => name !== '');
    return { only, list: values.list === true, json: values.json };
  } catch (error) {
    return fail(error);
  }
}
