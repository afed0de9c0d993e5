import type { Scenario } from '../scenario.ts';
import { overhead } from './overhead.ts';
import { streams } from './streams.ts';

/** What is asked of the API, in the order of the report. */
export const API_SCENARIOS: readonly Scenario[] = [overhead, streams];
