import { stat } from 'node:fs/promises';
import { ShoalError } from '@shoal/protocol';
import { parseModelId } from './model-id.ts';
import { type PullDependencies, type PullOptions, pullModel } from './pull-model.ts';

/**
 * The directory of a model that is given by a path or as `org/name[/folder][@revision]` on the hub, from where it is
 * downloaded as far as it is not in the cache. What exists as a path is a path.
 *
 * @throws ShoalError as {@link pullModel} does; a path that leads nowhere is left to whoever loads it
 */
export async function locateModel(
  model: string,
  options: PullOptions = {},
  dependencies: PullDependencies = {},
): Promise<string> {
  const onDisk = await stat(model).catch(() => undefined);
  const id = parseModelId(model);
  if (onDisk !== undefined || id === undefined) return model;
  try {
    return (await pullModel(id, options, dependencies)).directory;
  } catch (cause) {
    // Whoever meant a path would otherwise wonder what a hub has to do with it.
    if (!(cause instanceof ShoalError)) throw cause;
    throw new ShoalError(cause.code, `${cause.message} (there is no directory ${model} either)`, { cause });
  }
}
