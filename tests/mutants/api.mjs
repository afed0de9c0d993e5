// Breakages of the border: keys and tenants.

const JOBS_TEST = 'apps/api/src/routes/jobs.test.ts';
const KEYS_TEST = 'apps/api/src/routes/job-idempotency.test.ts';

/** @type {import('../../scripts/mutants/list.mjs').Mutant[]} */
export const apiMutants = [
  {
    name: 'any-key-is-good',
    breaks: 'Only known keys are let in.',
    file: 'apps/api/src/plugins/auth.ts',
    search: 'if (timingSafeEqual(candidate.hash, hash)) tenant',
    replace: 'if (timingSafeEqual(candidate.hash, hash) || hash.length > 0) tenant',
    tests: ['apps/api/src/routes/service.test.ts'],
  },
  {
    name: 'paths-guarded-as-sent',
    breaks: 'A path asks for a key however it is encoded.',
    file: 'apps/api/src/plugins/route-path.ts',
    search: 'return routeOptions.url ?? url;',
    replace: 'return routeOptions.url === undefined ? url : url;',
    tests: ['apps/api/src/routes/service.test.ts'],
  },
  {
    name: 'jobs-of-others-seen',
    breaks: "A tenant sees its own jobs alone, and cannot tell another's from none.",
    file: 'apps/api/src/generate/find-job.ts',
    search: '(tenant === undefined || view.tenant === tenant)',
    replace: '(tenant === undefined || view.id === id)',
    tests: [JOBS_TEST],
  },
  {
    name: 'key-means-something-else',
    breaks: 'An Idempotency-Key that comes with another body is refused.',
    file: 'apps/api/src/generate/submit-jobs.ts',
    search: 'if (view !== undefined && view.fingerprint !== draft.request.fingerprint) throw conflict();',
    replace: 'if (view === null) throw conflict();',
    tests: [KEYS_TEST],
  },
  {
    name: 'keys-meet-across-tenants',
    breaks: 'An Idempotency-Key is scoped by tenant.',
    file: 'apps/api/src/generate/submit-jobs.ts',
    search: 'hash(JSON.stringify([tenant ?? null, key]))',
    replace: 'hash(JSON.stringify([tenant === undefined ? null : null, key]))',
    tests: [KEYS_TEST],
  },
];
