import { batch, computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { CallFailed } from '../service/caller.ts';
import { listModels, type Model } from '../service/models.ts';

/** What this page knows of the service that it talks to. */
export const models: Signal<readonly Model[]> = signal([]);
/** What somebody chose, or what was shown with a worker: kept even when that worker leaves. */
const chosen: Signal<string | undefined> = signal(undefined);
/** The model that is asked and watched. */
export const model: ReadonlySignal<Model | undefined> = computed(
  () =>
    models.value.find(({ id }) => id === chosen.value) ??
    models.value.find(({ workers }) => workers > 0) ??
    models.value[0],
);
/** Its name, which stays the same while the models are listed again and again. */
export const modelId: ReadonlySignal<string | undefined> = computed(() => model.value?.id);
/** The API key; kept nowhere else. */
export const key: Signal<string> = signal('');
export const keyRequired: Signal<boolean> = signal(false);
/** One sentence for whoever looks or listens. */
export const notice: Signal<string> = signal('Loading models …');

/** While nothing can answer, or the list did not come. */
const LOOK_AGAIN_MS = 2_000;
/** Workers come and go. */
const LIST_AGAIN_MS = 30_000;

/** What {@link notice} said last of the model. */
let told = '';
/** Numbers the listings: only the newest is heeded, and goes on with another. */
let newest = 0;

/** Lists the models, and again after a while for as long as somebody can see the page. */
export async function loadModels(): Promise<void> {
  newest += 1;
  const mine = newest;
  let pauseMs = LOOK_AGAIN_MS;
  try {
    const listed = await listModels(key.value);
    if (mine !== newest) return;
    take(listed);
    if (listed.some(({ workers }) => workers > 0)) pauseMs = LIST_AGAIN_MS;
  } catch (error) {
    if (mine !== newest) return;
    if (error instanceof CallFailed && error.status === 401) return askForKey();
    tell(`The models could not be listed: ${error instanceof Error ? error.message : String(error)}`);
  }
  void listAgain(pauseMs, mine);
}

export function chooseModel(id: string): void {
  chosen.value = id;
  tellOfModel();
}

export function waitingFor({ id }: Model): string {
  return `No worker serves ${id} now: prompts wait for one.`;
}

async function listAgain(pauseMs: number, after: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
  await pageSeen();
  if (after === newest) await loadModels();
}

function pageSeen(): Promise<void> {
  if (document.visibilityState === 'visible') return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', () => resolve(), { once: true });
  });
}

function take(listed: readonly Model[]): void {
  batch(() => {
    models.value = listed;
    if (model.value !== undefined && model.value.workers > 0) chosen.value = model.value.id;
    keyRequired.value = false;
    tellOfModel();
  });
}

function askForKey(): void {
  keyRequired.value = true;
  notice.value = key.value === '' ? 'This server asks for an API key.' : 'This server does not know that API key.';
  told = '';
}

function tellOfModel(): void {
  if (model.value === undefined) tell('No worker serves a model yet.');
  else tell(model.value.workers > 0 ? 'Ready.' : waitingFor(model.value));
}

/** Says it once: what came of a prompt is not written over by every listing. */
function tell(sentence: string): void {
  if (sentence === told) return;
  told = sentence;
  notice.value = sentence;
}
