/** A rule of Prometheus' `relabel_configs`, as far as ours use them. */
export interface RelabelRule {
  source_labels: string[];
  separator?: string;
  regex?: string;
  target_label?: string;
  action?: 'replace' | 'keep' | 'keepequal';
}

/** The labels of a target after Prometheus applied the rules; undefined when they drop it. */
export function relabelled(
  target: Readonly<Record<string, string>>,
  rules: readonly RelabelRule[],
): Record<string, string> | undefined {
  const labels = { ...target };
  for (const { source_labels, separator = ';', regex = '(.*)', target_label = '', action = 'replace' } of rules) {
    const value = source_labels.map((label) => labels[label] ?? '').join(separator);
    // Prometheus anchors what it matches.
    const match = new RegExp(`^(?:${regex})$`).exec(value);
    if (action === 'keep' && match === null) return undefined;
    if (action === 'keepequal' && value !== (labels[target_label] ?? '')) return undefined;
    if (action === 'replace' && match !== null) labels[target_label] = match[1] ?? '';
  }
  return labels;
}
