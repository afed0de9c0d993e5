import { type OrtBackend, OrtError } from '@shoal/ort';
import { ShoalError } from '@shoal/protocol';
import type { ExecutionProvider } from '../engine-options.ts';
import { EXECUTION_PROVIDERS, type ProviderRow, providerRow } from './execution-providers.ts';
import type { Machine } from './machine.ts';
import { differenceFromCpu } from './provider-check.ts';

export interface ProviderChoice {
  asked: ExecutionProvider;
  ort: OrtBackend;
  machine: Machine;
  /** Which GPU. */
  deviceId: number;
}

/**
 * The provider to run a model on. One that is asked for must be there; `auto` takes the first of the table that finds a
 * real adapter and computes what the CPU computes, the CPU last.
 *
 * @throws ShoalError `invalid_request_error` that says what to install
 */
export async function chooseProvider(choice: ProviderChoice): Promise<ProviderRow> {
  if (choice.asked === 'auto') return firstUsable(choice);
  const row = providerRow(choice.asked);
  const fault = await faultOf(row, choice);
  if (fault === undefined) return row;
  const message = `executionProvider is ${row.name}, which cannot be used here: ${fault}; ${row.remedy}`;
  throw new ShoalError('invalid_request_error', message);
}

async function firstUsable(choice: ProviderChoice): Promise<ProviderRow> {
  for (const row of EXECUTION_PROVIDERS) {
    if (row.foundBy?.(choice.machine) === true && (await faultOf(row, choice)) === undefined) return row;
  }
  return providerRow('cpu');
}

/** Why it cannot be used, in one line. */
async function faultOf(row: ProviderRow, { ort, machine, deviceId }: ProviderChoice): Promise<string | undefined> {
  if (row.name === 'cpu') return undefined;
  if (!row.platforms.includes(machine.platform)) return `onnxruntime-node has no build with it for ${machine.platform}`;
  try {
    return await differenceFromCpu(ort, row, deviceId);
  } catch (cause) {
    // What a runner says of a full device is advice about a model's options; here there is none yet.
    const fault = cause instanceof ShoalError ? cause.cause : cause;
    if (!(fault instanceof OrtError)) throw cause;
    return reason(fault.message);
  }
}

/** The runtime's own words without its source lines and C++ names. */
function reason(message: string): string {
  const [line = ''] = message.split('\n');
  const words = line
    .replace(/^the execution provider "\w+" cannot be used here: /, '')
    .replace(/^\/onnxruntime_src\/.*?(?= was false\. |\[ONNXRuntimeError\])(?: was false\. )?/, '')
    .replace(/\[ONNXRuntimeError\] : \d+ : \w+ : /, '');
  return words.trim().replace(/\.$/, '');
}
