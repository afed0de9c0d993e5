import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** What a tree has besides its files: written by builds and tests, so each tree has its own. */
const OWN = new Set(['.cache', '.vite', '.vite-temp', '.modules.yaml']);
const AS_THEY_ARE = { recursive: true, verbatimSymlinks: true, preserveTimestamps: true };

/**
 * Copies the tree (what git tracks, what it would track, and what is built) to a temporary folder. Installed packages
 * are shared, packages of the workspace are the copy's own: pnpm links them by relative paths.
 *
 * @param {string} root
 * @returns {{ folder: string, remove: () => void }}
 */
export function copyTree(root) {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-mutants-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  for (const file of filesOf(root)) {
    const source = join(root, file);
    // A file that was deleted and not committed yet is listed, too.
    if (!existsSync(source)) continue;
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(source, join(folder, file), AS_THEY_ARE);
  }
  for (const workspace of workspacesWithPackages(root)) {
    for (const built of ['node_modules', 'dist']) {
      const source = join(root, workspace, built);
      if (existsSync(source)) cpSync(source, join(folder, workspace, built), AS_THEY_ARE);
    }
  }
  mkdirSync(join(folder, 'node_modules'));
  for (const entry of readdirSync(join(root, 'node_modules'))) {
    if (!OWN.has(entry)) symlinkSync(join(root, 'node_modules', entry), join(folder, 'node_modules', entry));
  }
  return { folder, remove };
}

/** @param {string} root @returns {string[]} */
function filesOf(root) {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    maxBuffer: 64 * 1024 * 1024,
  });
  return listed
    .toString()
    .split('\0')
    .filter((file) => file !== '');
}

/** Folders with a package.json, the root's left out. @param {string} root @returns {string[]} */
function workspacesWithPackages(root) {
  const manifests = filesOf(root).filter((file) => file.endsWith('/package.json'));
  return manifests.map((file) => dirname(file)).filter((folder) => existsSync(join(root, folder, 'package.json')));
}
