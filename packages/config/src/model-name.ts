/**
 * The served name of a model that was given none: the last part of its directory or hub id, without the revision,
 * every other character than `[A-Za-z0-9._-]` replaced by a dash.
 */
export function defaultModelName(model: string): string {
  const path = model.replaceAll('\\', '/').replace(/\/+$/, '');
  const last = path.slice(path.lastIndexOf('/') + 1);
  const name = last.replace(/@.*$/, '').replace(/[^A-Za-z0-9._-]/g, '-');
  return name.replace(/^\.+$/, '') || 'model';
}
