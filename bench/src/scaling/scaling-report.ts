import type { Finding } from '../finding.ts';
import type { Machine } from '../machine.ts';
import type { Knee } from './knee.ts';
import type { Point } from './point.ts';
import type { SimulatedDevice } from './simulated-worker.ts';

/** What `scaling --json` writes; parts that were measured before and not again are kept. */
export interface ScalingReport {
  readonly bench: 'scaling';
  readonly parts: { readonly [Name in PartName]?: PartReport };
}

export const PART_NAMES = ['streamed', 'unread', 'costs', 'shards'] as const;
export type PartName = (typeof PART_NAMES)[number];

export interface PartReport {
  readonly title: string;
  /** ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  /** As it was typed. */
  readonly command: string;
  readonly quick: boolean;
  readonly device: SimulatedDevice;
  readonly points: readonly (Point & { readonly name: string })[];
  readonly knee?: Knee;
  readonly findings: readonly Finding[];
}
