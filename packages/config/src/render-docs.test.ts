import { expect, test } from 'vitest';
import { KNOWN_NAMES, SETTINGS_FILES } from './apps.ts';
import { renderConfigurationDocs } from './render-docs.ts';
import { settingsOf } from './setting.ts';

const settings = SETTINGS_FILES.flatMap(({ table }) => settingsOf(table).map(([, setting]) => setting));

test('every setting has a row', () => {
  const docs = renderConfigurationDocs();
  for (const name of KNOWN_NAMES) expect(docs.split(`\n| \`${name}\` |`), name).toHaveLength(2);
});

test('no two settings share a name', () => {
  expect(KNOWN_NAMES.size).toBe(settings.length);
});

test('every default is a value that the setting accepts', () => {
  for (const setting of settings.filter(({ defaultText }) => defaultText === undefined)) {
    expect(setting.schema.safeParse(String(setting.default)), setting.env).toEqual({
      success: true,
      data: setting.default,
    });
  }
});

test('a default without a value of its own is put in words', () => {
  for (const { env, default: value, defaultText } of settings) {
    if (value === undefined || value === '') expect(defaultText, env).toBeDefined();
  }
});
