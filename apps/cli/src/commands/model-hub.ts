import { ConfigError, type HubAccess, hubAccess, hubConfig } from '@shoal/config';
import type { PullEvent } from '@shoal/engine';
import { DownloadBar } from '../download-bar.ts';
import { type Terminal, UsageError } from '../terminal.ts';

/** The hub and its cache, as the environment says. */
export function hubOf({ env }: Terminal): HubAccess {
  try {
    return hubAccess(hubConfig({ ...env }));
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(error.message);
    throw error;
  }
}

/** `--revision` is another way to write `@revision`. */
export function withRevision(id: string, revision: string | undefined): string {
  if (revision === undefined) return id;
  if (id.includes('@')) throw new UsageError('give the revision once: after the @, or by --revision');
  return `${id}@${revision}`;
}

/** What is brought from the hub, with a bar meanwhile; undefined, after a line that says so, when Ctrl-C ended it. */
export async function withBar<T>(
  { stderr, signal, clock }: Terminal,
  bring: (onEvent: (event: PullEvent) => void) => Promise<T>,
): Promise<T | undefined> {
  const bar = new DownloadBar(stderr, clock);
  try {
    return await bring((event) => bar.show(event)).finally(() => bar.end());
  } catch (error) {
    if (!signal.aborted) throw error;
    stderr.write('shoal: interrupted; the next download goes on from here\n');
    return undefined;
  }
}
