import type { WorkerReport } from '@shoal/protocol';
import type { ModelRegistry } from '@shoal/queue';

/** A page over the workers' heartbeats: who serves what, how full they are, and which settings are in force. */
export async function fleetPage(registry: Pick<ModelRegistry, 'list' | 'reports' | 'settings'>): Promise<string> {
  const models = await registry.list();
  const sections = await Promise.all(
    models.map(async ({ card: { name } }) => {
      const [workers, changed] = await Promise.all([registry.reports(name), registry.settings(name)]);
      return `<h2>${escaped(name)}</h2>${settingsTable(changed, workers)}${workersTable(workers)}`;
    }),
  );
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Shoal: workers and settings</title><style>${STYLE}</style></head>
<body><h1>Workers and settings</h1><p>Change a setting with <code>shoal set MODEL NAME=VALUE</code>. <a href="../">Back to the queues</a></p>${sections.join('') || '<p>No worker has announced a model yet.</p>'}</body></html>`;
}

function settingsTable(changed: Readonly<Record<string, string>>, workers: readonly WorkerReport[]): string {
  const names = new Set([...Object.keys(changed), ...workers.flatMap(({ settings }) => Object.keys(settings))]);
  const rows = [...names].map((name) => {
    const values = new Set(workers.flatMap(({ settings }) => settings[name] ?? []));
    return row([name, changed[name] ?? 'as started', [...values].join(', ') || '–']);
  });
  return `<table><thead>${row(['Setting', 'Changed to', 'In force on workers'], 'th')}</thead><tbody>${rows.join('')}</tbody></table>`;
}

function workersTable(workers: readonly WorkerReport[]): string {
  const rows = workers.map(
    ({ worker, state, slots, running, waiting, kvUsedTokens, kvBudgetTokens, tokensPerSecond }) => {
      const kv = kvBudgetTokens === 0 ? 0 : Math.round((100 * kvUsedTokens) / kvBudgetTokens);
      return row([worker, state, `${running} of ${slots}`, String(waiting), `${kv} %`, tokensPerSecond.toFixed(0)]);
    },
  );
  const head = row(['Worker', 'State', 'Slots busy', 'Waiting inside', 'KV cache', 'Tokens per second'], 'th');
  return `<table><thead>${head}</thead><tbody>${rows.join('') || '<tr><td colspan="6">no worker</td></tr>'}</tbody></table>`;
}

function row(cells: readonly string[], tag: 'td' | 'th' = 'td'): string {
  return `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE =
  'body{font:15px system-ui,sans-serif;margin:2rem;color:#223}table{border-collapse:collapse;margin:.6rem 0 1.4rem}' +
  'th,td{border-bottom:1px solid #ccd;padding:.35rem .9rem .35rem 0;text-align:left}th{font-weight:600}';
