import { type Signal, signal } from '@preact/signals';
import { CallFailed } from '../service/caller.ts';
import { listModels, type Model } from '../service/models.ts';

/** What this page knows of the service that it talks to. */
export const models: Signal<readonly Model[]> = signal([]);
export const model: Signal<Model | undefined> = signal(undefined);
/** The API key; kept nowhere else. */
export const key: Signal<string> = signal('');
export const keyRequired: Signal<boolean> = signal(false);
/** One sentence for whoever looks or listens. */
export const notice: Signal<string> = signal('Loading models …');

const LOOK_AGAIN_MS = 2_000;

/** Lists the models; while there are none, looks again. */
export async function loadModels(): Promise<void> {
  try {
    const listed = await listModels(key.value);
    models.value = listed;
    model.value = listed.find(({ id }) => id === model.value?.id) ?? listed[0];
    keyRequired.value = false;
    if (listed.length > 0) {
      notice.value = 'Ready.';
      return;
    }
    notice.value = 'No worker serves a model yet.';
  } catch (error) {
    if (error instanceof CallFailed && error.status === 401) {
      keyRequired.value = true;
      notice.value = key.value === '' ? 'This server asks for an API key.' : 'This server does not know that API key.';
      return;
    }
    notice.value = `The models could not be listed: ${error instanceof Error ? error.message : String(error)}`;
  }
  setTimeout(() => void loadModels(), LOOK_AGAIN_MS);
}
