import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const root = { dataset: {} as { theme?: string } };

beforeEach(() => {
  vi.resetModules();
  root.dataset = {};
  vi.stubGlobal('document', { documentElement: root });
});
afterEach(() => vi.unstubAllGlobals());

it('keeps the theme that was chosen', async () => {
  const kept = new Map([['shoal-theme', 'dark']]);
  vi.stubGlobal('localStorage', {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
  });
  const { theme } = await import('./theme.ts');
  expect(root.dataset.theme).toBe('dark');
  theme.value = 'light';
  expect([root.dataset.theme, kept.get('shoal-theme')]).toEqual(['light', 'light']);
});

it('has a theme, and takes another, where the browser keeps nothing for the site', async () => {
  // `stubGlobal` gives values only, and here the name itself throws.
  vi.stubGlobal('localStorage', undefined);
  Object.defineProperty(globalThis, 'localStorage', {
    configurable: true,
    get: () => {
      throw new DOMException('Access is denied for this document.', 'SecurityError');
    },
  });
  const { theme } = await import('./theme.ts');
  expect(root.dataset.theme).toBe('auto');
  theme.value = 'dark';
  expect(root.dataset.theme).toBe('dark');
});
