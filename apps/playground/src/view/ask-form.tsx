import { type Signal, signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { busy, cancelAll, full, send } from '../state/answers.ts';
import { samplePrompts } from '../state/prompts.ts';
import { chooseModel, key, keyRequired, loadModels, modelId, models, notice } from '../state/service.ts';

const MANY = 50;

const prompt: Signal<string> = signal('Tell me a story about a fox and a lantern.');
const maxTokens: Signal<number> = signal(400);
const temperature: Signal<number> = signal(0);

const options = () => ({ maxTokens: maxTokens.value, temperature: temperature.value });
const sendOne = () => void send([prompt.value], options());
const sendMany = () => void send(samplePrompts(MANY, Math.random), options());

export function AskForm() {
  useShortcuts();
  const ready = modelId.value !== undefined && !full.value;
  return (
    <form
      class="panel ask"
      aria-labelledby="ask-title"
      onSubmit={(event) => {
        event.preventDefault();
        if (ready && prompt.value !== '') sendOne();
      }}
    >
      <h2 id="ask-title">Ask</h2>
      {keyRequired.value || key.value !== '' ? <KeyField /> : null}
      <label class="field">
        Prompt
        <textarea
          rows={3}
          spellcheck={false}
          value={prompt}
          onInput={(event) => {
            prompt.value = event.currentTarget.value;
          }}
        />
      </label>
      <div class="options">
        <ModelField />
        <NumberField label="Most tokens" value={maxTokens} min={1} max={4096} step={1} />
        <NumberField label="Temperature" value={temperature} min={0} max={2} step={0.1} />
      </div>
      <div class="buttons">
        <button type="submit" class="primary" disabled={!ready} aria-keyshortcuts="Control+Enter Meta+Enter">
          Send
        </button>
        <button type="button" class="many" disabled={!ready} onClick={sendMany}>
          Send fifty
        </button>
        <button type="button" disabled={!busy.value} onClick={cancelAll} aria-keyshortcuts="Escape">
          Cancel
        </button>
      </div>
      <p class="hint">
        <kbd>Ctrl</kbd>+<kbd>Enter</kbd> sends, <kbd>Esc</kbd> cancels. Send again while answers are coming: the new
        prompt joins the batch.
      </p>
      <p class="notice" role="status">
        {notice}
      </p>
    </form>
  );
}

function KeyField() {
  return (
    <label class="field">
      API key
      <input
        type="password"
        autocomplete="off"
        value={key}
        onChange={(event) => {
          key.value = event.currentTarget.value.trim();
          void loadModels();
        }}
      />
    </label>
  );
}

function ModelField() {
  return (
    <label class="field">
      Model
      <select
        value={modelId.value ?? ''}
        disabled={models.value.length === 0}
        onChange={(event) => {
          chooseModel(event.currentTarget.value);
        }}
      >
        {models.value.map(({ id, workers }) => (
          <option key={id} value={id}>
            {workers > 0 ? id : `${id} (no worker)`}
          </option>
        ))}
      </select>
    </label>
  );
}

function NumberField(props: { label: string; value: Signal<number>; min: number; max: number; step: number }) {
  const { label, value, ...range } = props;
  return (
    <label class="field">
      {label}
      <input
        type="number"
        {...range}
        value={value}
        onChange={(event) => {
          const { valueAsNumber } = event.currentTarget;
          if (event.currentTarget.validity.valid && !Number.isNaN(valueAsNumber)) value.value = valueAsNumber;
        }}
      />
    </label>
  );
}

/** Wherever the focus is: Ctrl+Enter sends the prompt, Escape cancels. */
function useShortcuts(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') cancelAll();
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && prompt.value !== '') sendOne();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
}
