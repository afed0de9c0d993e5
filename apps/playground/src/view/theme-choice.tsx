import { THEMES, theme } from '../state/theme.ts';

const NAMES = { auto: 'Auto', light: 'Light', dark: 'Dark' } as const;

export function ThemeChoice() {
  return (
    <fieldset class="themes">
      <legend class="unseen">Theme</legend>
      {THEMES.map((name) => (
        <label key={name}>
          <input
            type="radio"
            name="theme"
            class="unseen"
            checked={theme.value === name}
            onChange={() => {
              theme.value = name;
            }}
          />
          <span>{NAMES[name]}</span>
        </label>
      ))}
    </fieldset>
  );
}
