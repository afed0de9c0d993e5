import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  filesUnder,
  type Import,
  importsOf,
  nameOf,
  packageOf,
  type Room,
  readRooms,
  root,
} from './architecture/rooms.ts';

/** Which room may import which. `types`: by `import type` only. Every room has a row; docs/structure.md says why. */
const ARROWS: Readonly<Record<string, { runtime: readonly string[]; types?: readonly string[] }>> = {
  protocol: { runtime: [] },
  ort: { runtime: [] },
  'onnx-graph': { runtime: [] },
  config: { runtime: ['protocol'] },
  engine: { runtime: ['protocol', 'ort', 'onnx-graph'] },
  queue: { runtime: ['protocol'] },
  client: { runtime: ['protocol', 'queue'] },
  telemetry: { runtime: ['protocol'], types: ['engine', 'queue'] },
  api: { runtime: ['protocol', 'config', 'queue', 'telemetry', 'playground'] },
  playground: { runtime: [] },
  worker: { runtime: ['protocol', 'config', 'queue', 'telemetry', 'engine'] },
  board: { runtime: ['protocol', 'config', 'queue', 'telemetry'] },
  cli: { runtime: ['client', 'config', 'protocol', 'engine', 'queue'] },
};

/** Dependencies that are there for another package's sake, which finds them by itself. */
const NOT_IMPORTED: Readonly<Record<string, readonly string[]>> = {
  '@shoal/board': ['@bull-board/ui'],
};

/** Their build puts what they import into one file: none of it is installed beside them. */
const BUNDLED: readonly string[] = ['@shoal/playground'];

/** They say nothing of what is inside. */
const FORBIDDEN_NAMES = ['utils', 'util', 'common', 'helpers', 'helper', 'types', 'core', 'misc', 'lib'];

const rooms = readRooms();
const ours = new Map(rooms.map((room) => [room.manifest.name, room]));
const productionFiles = rooms.flatMap((room) =>
  room.files.filter((file) => file.production).map((file) => ({ room, file })),
);

describe('the reader of imports', () => {
  it('sees every form', () => {
    const text = [
      "import a from 'a';",
      "import type { B } from '@b/b';",
      "import {\n  c,\n  type D,\n} from './c.ts';",
      "export * from 'e';",
      "export type { F } from 'f/deep';",
      "import 'g';",
      "const h = await import('h');",
      "// import 'not';",
      "/* import 'not'; */",
    ].join('\n');
    expect(importsOf(text)).toEqual([
      { specifier: 'a', typeOnly: false },
      { specifier: '@b/b', typeOnly: true },
      { specifier: './c.ts', typeOnly: false },
      { specifier: 'e', typeOnly: false },
      { specifier: 'f/deep', typeOnly: true },
      { specifier: 'g', typeOnly: false },
      { specifier: 'h', typeOnly: false },
    ]);
  });
});

describe('arrows between rooms', () => {
  it('has a row for every room, and a room for every package', () => {
    expect(rooms.length).toBeGreaterThan(0);
    expect(rooms.map((room) => room.name).filter((name) => !(name in ARROWS))).toEqual([]);
    expect(rooms.filter((room) => room.manifest.name !== `@shoal/${room.name}`)).toEqual([]);
  });

  it.each(rooms.map((room) => [room.name, room] as const))('%s imports only what it may', (name, room) => {
    const arrows = ARROWS[name] ?? { runtime: [] };
    const allowed = (target: string, { typeOnly }: Import): boolean =>
      arrows.runtime.includes(target) || (typeOnly && arrows.types?.includes(target) === true);
    const wrong = room.files
      .filter((file) => file.production)
      .flatMap((file) =>
        file.imports.flatMap((found) => {
          const target = ours.get(packageOf(found.specifier) ?? '');
          if (!target || target === room || allowed(target.name, found)) return [];
          return [`${file.path} imports ${found.specifier}${found.typeOnly ? ' (type)' : ''}`];
        }),
      );
    expect(wrong).toEqual([]);
  });

  it('keeps relative imports inside their room', () => {
    const wrong = productionFiles.flatMap(({ room, file }) =>
      file.imports
        .filter(({ specifier }) => specifier.startsWith('.'))
        .filter(({ specifier }) => !normalize(join(dirname(file.path), specifier)).startsWith(`${room.folder}/`))
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('keeps testing/ out of production', () => {
    const wrong = productionFiles.flatMap(({ file }) =>
      file.imports
        .filter(({ specifier }) => specifier.split('/').includes('testing'))
        .map(({ specifier }) => `${file.path} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });

  it('keeps the queue behind @shoal/client/redis', () => {
    const client = rooms.find((room) => room.name === 'client');
    const files = client?.files.filter((file) => file.production) ?? [];
    const direct = files.filter(({ imports }) => imports.some(({ specifier }) => specifier === '@shoal/queue'));
    expect(direct.map(({ path }) => path)).toEqual(['packages/client/src/redis/redis-transport.ts']);
    const fromOutside = files
      .filter(({ path }) => !path.startsWith('packages/client/src/redis/'))
      .filter(({ imports }) => imports.some(({ specifier }) => specifier.includes('/redis/')));
    expect(fromOutside.map(({ path }) => path)).toEqual([]);
  });

  it('keeps the engine, and ONNX Runtime with it, out of every command of the CLI but `model`', () => {
    const cli = rooms.find((room) => room.name === 'cli')?.files.filter((file) => file.production) ?? [];
    const importers = (wanted: RegExp) =>
      cli.filter(({ imports }) => imports.some(({ specifier, typeOnly }) => !typeOnly && wanted.test(specifier)));
    const engine = importers(/^@shoal\/engine$/).map(({ path }) => path);
    expect(engine.sort()).toEqual(['inspect', 'pull'].map((name) => `apps/cli/src/commands/model-${name}.ts`));
    // These are themselves imported only when the command runs.
    const lazily = /\bawait import\('\.\/model-(inspect|pull)\.ts'\)/g;
    const [model, ...others] = importers(/\/model-(inspect|pull)\.ts$/);
    expect([model?.path, others]).toEqual(['apps/cli/src/commands/model.ts', []]);
    expect(model?.text.match(lazily)).toHaveLength(2);
    expect(model?.imports.filter(({ specifier, typeOnly }) => !typeOnly && /model-/.test(specifier))).toHaveLength(2);
  });

  it('lets protocol depend on zod alone', () => {
    const protocol = rooms.find((room) => room.name === 'protocol');
    expect(Object.keys(protocol?.manifest.dependencies ?? {})).toEqual(['zod']);
  });

  it('has no circle of files that import one another at run time', () => {
    expect(rooms.flatMap(circles)).toEqual([]);
  });
});

describe('dependencies', () => {
  const rootDevDependencies = Object.keys(
    (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { devDependencies: object }).devDependencies,
  );

  it.each(rooms.map((room) => [room.name, room] as const))('of %s are those that it imports', (_, room) => {
    const runtime = Object.keys(room.manifest.dependencies ?? {});
    const peers = Object.keys(room.manifest.peerDependencies ?? {});
    const known = new Set([...runtime, ...Object.keys(room.manifest.devDependencies ?? {}), ...rootDevDependencies]);
    const undeclared = room.files.flatMap((file) =>
      file.imports.flatMap(({ specifier, typeOnly }) => {
        const name = packageOf(specifier);
        if (name === undefined || name === room.manifest.name) return [];
        const installed = file.production && !typeOnly && !BUNDLED.includes(room.manifest.name);
        const declared = installed ? runtime.includes(name) || peers.includes(name) : known.has(name);
        return declared ? [] : [`${file.path} imports ${name}`];
      }),
    );
    expect(undeclared).toEqual([]);

    // A name in quotes counts: some packages are looked up by path, not imported.
    const production = room.files.filter((file) => file.production);
    const mentioned = (name: string) =>
      production.some((file) => new RegExp(`['"\`]${name}(/[^'"\`]*)?['"\`]`).test(file.text));
    const unused = runtime.filter((name) => !mentioned(name) && !NOT_IMPORTED[room.manifest.name]?.includes(name));
    expect(unused).toEqual([]);
  });

  it('are pinned exactly', () => {
    const loose = [...rooms.map((room) => room.folder), 'tests', '.'].flatMap((folder) => {
      const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Room['manifest'];
      return Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
        .filter(([, version]) => version !== 'workspace:*' && !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
        .map(([name, version]) => `${folder}: ${name}@${version}`);
    });
    expect(loose).toEqual([]);
  });
});

describe('names', () => {
  const files = filesUnder('.');

  it('say what is inside', () => {
    const folders = files.flatMap((path) =>
      dirname(path)
        .split('/')
        .map((_, i, parts) => parts.slice(0, i + 1).join('/')),
    );
    const wrong = [...new Set([...files, ...folders])].filter((path) => FORBIDDEN_NAMES.includes(nameOf(path)));
    expect(wrong).toEqual([]);
  });

  it('do not lead to one machine or one mirror', () => {
    // Written in pieces, so that this file does not name what it looks for.
    const machine = ['work', 'home', 'root', 'Users'].map((folder) => `(?<![\\w.*}])/${folder}/\\w`);
    const hosts = [
      ['registry', 'npmjs'],
      ['deb', 'debian'],
      ['pypi', 'org'],
      ['files', 'pythonhosted'],
    ];
    const forbidden = new RegExp(
      [...machine, ...hosts.map((parts) => parts.join('\\.')), '\\.\\./shared\\b'].join('|'),
    );
    expect(forbidden.test(`see /${'home'}/me/project`)).toBe(true);
    const wrong = files
      .filter((path) =>
        /\.(ts|mts|mjs|js|json|jsonc|md|ya?ml|toml|sh|py|lua|html|css|example)$|Dockerfile|\.ci\/|\/?\.\w+rc$/.test(
          path,
        ),
      )
      .flatMap((path) => {
        const found = forbidden.exec(readFileSync(join(root, path), 'utf8'));
        return found ? [`${path}: ${found[0]}`] : [];
      });
    expect(wrong).toEqual([]);
  });

  it('every package introduces itself', () => {
    const silent = rooms.filter((room) => room.kind === 'package' && !existsSync(join(root, room.folder, 'README.md')));
    expect(silent.map((room) => room.folder)).toEqual([]);
  });
});

/** Circles of runtime imports within a room, each told once. */
function circles(room: Room): string[] {
  const next = new Map(
    room.files.map((file) => [
      file.path,
      file.imports
        .filter(({ specifier, typeOnly }) => specifier.startsWith('.') && !typeOnly)
        .map(({ specifier }) => normalize(join(dirname(file.path), specifier))),
    ]),
  );
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push([...trail.slice(start), path].join(' → '));
    if (start >= 0 || done.has(path)) return;
    for (const target of next.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of next.keys()) visit(path, []);
  return found;
}
