import { effect, type Signal, signal } from '@preact/signals';

export const THEMES = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const STORED_AS = 'shoal-theme';

export const theme: Signal<Theme> = signal(THEMES.find((name) => name === stored()) ?? 'auto');

effect(() => {
  document.documentElement.dataset.theme = theme.value;
  store(theme.value);
});

// Where a browser keeps nothing for this site, to name `localStorage` throws: the theme then lasts as long as the page.
function stored(): string | null {
  try {
    return localStorage.getItem(STORED_AS);
  } catch {
    return null;
  }
}

function store(name: Theme): void {
  try {
    localStorage.setItem(STORED_AS, name);
  } catch {
    // Nothing to do: the page has its theme all the same.
  }
}
