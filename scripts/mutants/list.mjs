import { apiMutants } from '../../tests/mutants/api.mjs';
import { engineMutants } from '../../tests/mutants/engine.mjs';
import { queueMutants } from '../../tests/mutants/queue.mjs';

/**
 * One deliberate breakage.
 * @typedef {object} Mutant
 * @property {string} name
 * @property {string} breaks The promise that no longer holds.
 * @property {string} file From the root of the tree.
 * @property {string} search Must be in the file exactly once.
 * @property {string} replace
 * @property {string[]} tests Test files that should notice.
 * @property {string} [only] Pattern of the names of the tests to run, where a file takes long.
 */

/** @type {Mutant[]} */
export const mutants = [...queueMutants, ...engineMutants, ...apiMutants];
