import { SETTINGS_FILES } from './apps.ts';
import { type AnySettingsTable, type Setting, settingsOf } from './setting.ts';

const INTRODUCTION = `# Configuration

Generated from \`packages/config\` (\`renderConfigurationDocs\`): change a setting there.

Every process reads its settings from the environment, and beneath it from a file \`.env\` in the working directory
(the environment wins). An empty value counts as unset. A process with a malformed or misspelled setting does not
start: it prints one line per fault, with the name, the value (secrets masked) and what was expected. \`.env\` may hold
only the settings below (and Docker Compose's own \`COMPOSE_*\`).
`;

/** The text of docs/configuration.md. */
export function renderConfigurationDocs(): string {
  const sections = SETTINGS_FILES.map(({ title, usedBy, table }) => {
    return `\n## ${title}\n\nRead by: ${usedBy}.\n\n${renderTable(table)}`;
  });
  return INTRODUCTION + sections.join('');
}

function renderTable(table: AnySettingsTable): string {
  const rows = settingsOf(table).map(([, setting]) => {
    const cells = [`\`${setting.env}\``, defaultCell(setting), setting.expected, setting.unit ?? '', docCell(setting)];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  });
  return `| setting | default | accepts | unit | what it does |\n|---|---|---|---|---|\n${rows.join('')}`;
}

function defaultCell(setting: Setting<unknown>): string {
  return setting.defaultText ?? `\`${String(setting.default)}\``;
}

function docCell(setting: Setting<unknown>): string {
  return setting.secret === true ? `${setting.doc} Secret: never shown.` : setting.doc;
}
