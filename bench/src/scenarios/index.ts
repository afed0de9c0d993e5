import type { Scenario } from '../scenario.ts';
import { cacheLength } from './cache-length.ts';
import { decodeScenario } from './decode.ts';
import { longPrompt } from './long-prompt.ts';
import { mainThread } from './main-thread.ts';
import { memory } from './memory.ts';
import { minnow } from './minnow.ts';
import { mixedLoad } from './mixed-load.ts';
import { peers } from './peers.ts';
import { sameAnswer } from './same-answer.ts';
import { sharedPrefix } from './shared-prefix.ts';
import { simulatedDevice } from './simulated-device.ts';
import { stepShare } from './step-share.ts';

/** Every question, in the order of the report. */
export const SCENARIOS: readonly Scenario[] = [
  decodeScenario('fp32'),
  decodeScenario('q4'),
  cacheLength,
  stepShare,
  mixedLoad,
  minnow,
  simulatedDevice,
  peers,
  longPrompt,
  sharedPrefix,
  sameAnswer,
  memory,
  mainThread,
];
