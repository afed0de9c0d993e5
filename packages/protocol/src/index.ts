export * from './batch-record.ts';
export * from './errors.ts';
export * from './events.ts';
export * from './generate-request.ts';
export * from './generate-result.ts';
export * from './job-status.ts';
export * from './model-card.ts';
export * from './sampling-params.ts';
