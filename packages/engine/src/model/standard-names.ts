import type { OrtBinding, OrtSession, OrtTensor, RunOptions, ValueInfo } from '@shoal/ort';
import { type GraphNames, STANDARD_NAMES } from './genai-config.ts';

/** The session under {@link STANDARD_NAMES}, however its graph calls what it takes and gives. */
export function withStandardNames(session: OrtSession, names: GraphNames): OrtSession {
  const rows = (Object.keys(STANDARD_NAMES) as (keyof GraphNames)[]).map((key) => ({
    own: names[key],
    standard: STANDARD_NAMES[key],
  }));
  const renamed = rows.filter(({ own, standard }) => own !== standard);
  return renamed.length === 0 ? session : new RenamedSession(session, renamed);
}

interface Renaming {
  own: string;
  standard: string;
}

class RenamedSession implements OrtSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly #session: OrtSession;
  /** The graph's own name of each standard one. */
  readonly #own = new Map<string, string>();

  constructor(session: OrtSession, renamings: readonly Renaming[]) {
    this.#session = session;
    const standardise = (info: ValueInfo): ValueInfo => {
      const standard = standardName(info.name, renamings);
      this.#own.set(standard, info.name);
      return { ...info, name: standard };
    };
    this.inputs = session.inputs.map(standardise);
    this.outputs = session.outputs.map(standardise);
  }

  allocate: OrtSession['allocate'] = (...args) => this.#session.allocate(...args);

  createBinding(): OrtBinding {
    const binding = this.#session.createBinding();
    const dispose = (): void => binding.dispose();
    return {
      bindInput: (name, tensor) => binding.bindInput(this.#ownName(name), tensor),
      bindOutput: (name, tensor) => binding.bindOutput(this.#ownName(name), tensor),
      run: (options) => binding.run(options),
      output: (name) => binding.output(this.#ownName(name)),
      dispose,
      [Symbol.dispose]: dispose,
    };
  }

  async run(
    feeds: Readonly<Record<string, OrtTensor>>,
    outputs: readonly string[] = this.outputs.map(({ name }) => name),
    options?: RunOptions,
  ): Promise<Record<string, OrtTensor>> {
    const own = Object.entries(feeds).map(([name, tensor]) => [this.#ownName(name), tensor]);
    const asked = outputs.map((name) => this.#ownName(name));
    const results = await this.#session.run(Object.fromEntries(own), asked, options);
    return Object.fromEntries(outputs.map((name) => [name, results[this.#ownName(name)] as OrtTensor]));
  }

  dispose(): void {
    this.#session.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #ownName(standard: string): string {
    return this.#own.get(standard) ?? standard;
  }
}

/** `cache.3.k` → `past_key_values.3.key`, where `cache.%d.k` is the graph's pattern for that. */
function standardName(name: string, renamings: readonly Renaming[]): string {
  for (const { own, standard } of renamings) {
    const [before = '', after] = own.split('%d');
    if (after === undefined) {
      if (name === own) return standard;
      continue;
    }
    const layer = name.slice(before.length, name.length - after.length);
    if (name.startsWith(before) && name.endsWith(after) && /^\d+$/.test(layer)) return standard.replace('%d', layer);
  }
  return name;
}
