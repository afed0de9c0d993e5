import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

const GENERATED = new Set(['node_modules', 'dist', '.git', '.turbo', '.cache', 'coverage', '__pycache__', '.venv']);

/** One `import`, `export … from` or `import()` of a source file. */
export interface Import {
  readonly specifier: string;
  /** True for `import type` and `export type`: gone at run time. */
  readonly typeOnly: boolean;
}

interface SourceFile {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
  /** False for tests, and for `testing/`, which is for them. */
  readonly production: boolean;
}

interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  /** What its user brings, or leaves out. */
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** A package or an app. */
export interface Room {
  /** Folder name: `engine`, `api`. */
  readonly name: string;
  readonly kind: 'package' | 'app';
  readonly folder: string;
  readonly manifest: Manifest;
  readonly files: readonly SourceFile[];
}

/** Every package and app of the workspace. */
export function readRooms(): Room[] {
  return [...readGroup('packages', 'package'), ...readGroup('apps', 'app')];
}

function readGroup(group: string, kind: Room['kind']): Room[] {
  return readdirSync(join(root, group))
    .map((name) => ({ name, kind, folder: join(group, name) }))
    .filter(({ folder }) => existsSync(join(root, folder, 'package.json')))
    .map((room) => ({
      ...room,
      manifest: JSON.parse(readFileSync(join(root, room.folder, 'package.json'), 'utf8')) as Manifest,
      files: filesUnder(join(room.folder, 'src'))
        .filter((path) => path.endsWith('.ts'))
        .map(readSource),
    }));
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8');
  const production = !path.endsWith('.test.ts') && !path.split('/').includes('testing');
  return { path, text, imports: importsOf(text), production };
}

/** Reads imports as the language writes them; comments are taken out first. */
export function importsOf(text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const statements = /^\s*(?:import|export)\s+(type\s+(?=[{*\w]))?(?:[\w$*{}\s,]+?\s+from\s+)?['"]([^'"]+)['"]/gm;
  const dynamic = /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [
    ...[...code.matchAll(statements)].map((match) => ({ specifier: match[2] ?? '', typeOnly: match[1] !== undefined })),
    ...[...code.matchAll(dynamic)].map((match) => ({ specifier: match[1] ?? '', typeOnly: false })),
  ];
}

/** `@scope/name` or `name` of a package import; undefined for relative ones and for Node's own. */
export function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** Files under a folder of the repository, generated ones left out; paths from the root. */
export function filesUnder(folder: string): string[] {
  const absolute = join(root, folder);
  if (!existsSync(absolute)) return [];
  return readdirSync(absolute, { withFileTypes: true }).flatMap((entry) => {
    if (GENERATED.has(entry.name)) return [];
    const path = relative(root, join(absolute, entry.name));
    return entry.isDirectory() ? filesUnder(path) : [path];
  });
}

/** `engine` of `packages/engine/src/engine.ts`; a folder counts as well. */
export function nameOf(path: string): string {
  return basename(path).replace(/\..*$/, '');
}
