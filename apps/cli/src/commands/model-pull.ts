import { type ModelDtype, parseModelId, pullModel } from '@shoal/engine';
import { EXIT, type Terminal, UsageError } from '../terminal.ts';
import { hubOf, withBar, withRevision } from './model-hub.ts';

export interface PullCommandOptions {
  dtype: ModelDtype;
  revision?: string;
  json?: boolean;
}

/** Prints the directory that the model lies in; progress goes to stderr. */
export async function pull(model: string, options: PullCommandOptions, terminal: Terminal): Promise<number> {
  const { stdout, signal } = terminal;
  const id = parseModelId(withRevision(model, options.revision));
  if (id === undefined)
    throw new UsageError(`${model} is no hub id: write org/name, org/name/folder or org/name@revision`);
  const { dtype } = options;
  const hub = hubOf(terminal);
  const pulled = await withBar(terminal, (onEvent) => pullModel(id, { dtype, hub, signal, onEvent }));
  if (pulled === undefined) return EXIT.failed;
  const facts = { model: id.repo, revision: id.revision, dtype, commit: pulled.commit, directory: pulled.directory };
  stdout.write(options.json ? `${JSON.stringify(facts)}\n` : `${pulled.directory}\n`);
  return EXIT.ok;
}
