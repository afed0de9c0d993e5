/** What `GET /v1/jobs/:id` says of a request. The last four are terminal. */
export type JobStatus = 'queued' | 'running' | 'completed' | 'failed' | 'cancelled' | 'expired';

/** Priority as callers give it: 0 is served first, 9 last. */
export const DEFAULT_PRIORITY = 5;
export const LOWEST_PRIORITY = 9;
