import { effect, type Signal, signal } from '@preact/signals';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const STORED_AS = 'shoal-theme';

export const theme: Signal<Theme> = signal(THEMES.find((name) => name === localStorage.getItem(STORED_AS)) ?? 'auto');

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  localStorage.setItem(STORED_AS, theme.value);
});
