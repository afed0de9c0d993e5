import { type ModelDtype, parseModelId, pullModel } from '@shoal/engine';
import { DownloadBar } from '../download-bar.ts';
import { EXIT, type Terminal, UsageError } from '../terminal.ts';
import { hubOf, withRevision } from './model-hub.ts';

export interface PullCommandOptions {
  dtype: ModelDtype;
  revision?: string;
  json?: boolean;
}

/** Prints the directory that the model lies in; progress goes to stderr. */
export async function pull(model: string, options: PullCommandOptions, terminal: Terminal): Promise<number> {
  const { stdout, stderr, signal, clock } = terminal;
  const id = parseModelId(withRevision(model, options.revision));
  if (id === undefined)
    throw new UsageError(`${model} is no hub id: write org/name, org/name/folder or org/name@revision`);
  const bar = new DownloadBar(stderr, clock);
  try {
    const { dtype } = options;
    const pulled = await pullModel(id, { dtype, hub: hubOf(terminal), signal, onEvent: (event) => bar.show(event) });
    bar.end();
    const facts = { model: id.repo, revision: id.revision, dtype, commit: pulled.commit, directory: pulled.directory };
    stdout.write(options.json ? `${JSON.stringify(facts)}\n` : `${pulled.directory}\n`);
    return EXIT.ok;
  } catch (error) {
    bar.end();
    if (!signal.aborted) throw error;
    stderr.write('shoal: interrupted; the next pull goes on from here\n');
    return EXIT.failed;
  }
}
