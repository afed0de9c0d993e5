import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Where an executable of this name lies on PATH.
 * @param {string} name
 * @returns {string | undefined}
 */
export function onPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    if (folder && existsSync(join(folder, name))) return join(folder, name);
  }
  return undefined;
}
