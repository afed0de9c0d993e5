/** One thing that is wrong with the settings: which, what it says (masked), what was expected. */
export interface Fault {
  /** Environment variable. */
  readonly name: string;
  /** Its value as it may be shown. */
  readonly value: string;
  /** Ends the sentence: `expected an integer from 1 to 65535`. */
  readonly problem: string;
}

/** The settings do not make sense. Carries every fault at once; the message has one line per fault. */
export class ConfigError extends Error {
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    super(faults.map((fault) => `${fault.name}=${fault.value}: ${fault.problem}`).join('\n'));
    this.name = 'ConfigError';
    this.faults = faults;
  }
}
