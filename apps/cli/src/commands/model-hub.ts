import { ConfigError, type HubAccess, hubAccess, hubConfig } from '@shoal/config';
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
