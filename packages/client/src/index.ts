export { ShoalError } from '@shoal/protocol';
export type { BatchOptions, BatchOutcome, BatchProgress } from './batch.ts';
export type { CallOptions, ShoalClient } from './client.ts';
export { GenerationStream, type TextDelta } from './generation-stream.ts';
export { readEvents } from './http/event-source.ts';
export { type HttpClientOptions, httpClient } from './http/http-client.ts';
export { errorOfResponse, unreachable } from './http/http-error.ts';
export type { Job, QueueState } from './job.ts';
export type { ShoalRequest } from './request.ts';
