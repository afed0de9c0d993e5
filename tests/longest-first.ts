import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Beginnings of the names of the files that take long, in the order in which they are started. */
const FIRST = [
  'tests/deployment/scrape',
  'tests/e2e/',
  'tests/chaos/',
  'tests/deployment/',
  'bench/',
  'tests/',
  'packages/queue/',
  'packages/ort/',
];

/**
 * Vitest starts with what took longest the last time, and a fresh clone has no last time: it started with the largest
 * files, and ended with two minutes of a short file that breaks a whole cluster, alone on one of the cores.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const at = FIRST.findIndex((beginning) => moduleId.includes(`/${beginning}`));
  return at === -1 ? FIRST.length : at;
}
