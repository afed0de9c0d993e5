import { defineConfig } from 'vitest/config';
import { LongestFirst } from './tests/longest-first.ts';

export default defineConfig({
  test: {
    // Unit tests stand beside their source; tests/ holds those that span rooms.
    include: [
      'packages/*/src/**/*.test.ts',
      'apps/*/src/**/*.test.ts',
      'bench/src/**/*.test.ts',
      'scripts/**/*.test.ts',
      'tests/**/*.test.ts',
    ],
    // One Redis for the whole run, started by the project's own launcher; each test uses a queue prefix of its own.
    globalSetup: ['tests/redis.global.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // One second, the default, is no sign of a fault where other things keep the machine busy.
    expect: { poll: { timeout: 10_000 } },
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
  },
});
