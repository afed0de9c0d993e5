import type { CompletedEvent, GenerateResult, RideRecord, RunMark, Timings, TokensEvent, Usage } from '@shoal/protocol';

// Nearly every event that a process reads has one of two plain forms, and at thousands of streams the schemas would be
// where it spends its time. So these are told apart by hand, by the same rules (plain-event.test.ts compares them);
// whatever else an event may have, or not be, is for the schemas to judge.

type Name =
  | keyof TokensEvent
  | keyof CompletedEvent
  | keyof GenerateResult
  | keyof (RideRecord & RunMark & Timings & Usage);
type Fields = { readonly [Field in Name]?: unknown };

/** A tokens event without log probabilities. */
export function isPlainTokens(json: unknown): json is TokensEvent {
  return (
    isFields(json) &&
    json.type === 'tokens' &&
    isCount(json.position) &&
    isCounts(json.tokenIds) &&
    typeof json.text === 'string' &&
    (json.lengths === undefined || isCounts(json.lengths)) &&
    json.logprobs === undefined &&
    (json.choice === undefined || isCount(json.choice)) &&
    (json.run === undefined || isRunMark(json.run)) &&
    (json.promptText === undefined || typeof json.promptText === 'string')
  );
}

/** A completed event with one answer, without log probabilities, of a run that was not resumed. */
export function isPlainEnd(json: unknown): json is CompletedEvent {
  return isFields(json) && json.type === 'completed' && isPlainResult(json.result);
}

function isPlainResult(json: unknown): boolean {
  return (
    isFields(json) &&
    json.v === 1 &&
    typeof json.text === 'string' &&
    isCounts(json.tokenIds) &&
    isFinishReason(json.finishReason) &&
    json.logprobs === undefined &&
    json.choices === undefined &&
    json.resumes === undefined &&
    isCount(json.seed) &&
    (json.numerics === undefined || isFingerprint(json.numerics)) &&
    isUsage(json.usage) &&
    isTimings(json.timings) &&
    isRide(json.ride)
  );
}

function isFinishReason(json: unknown): boolean {
  return json === 'stop' || json === 'length' || json === 'abort';
}

function isUsage(json: unknown): boolean {
  return isFields(json) && isCount(json.promptTokens) && isCount(json.completionTokens);
}

function isTimings(json: unknown): boolean {
  return (
    isFields(json) &&
    isTime(json.queuedAt) &&
    isTime(json.claimedAt) &&
    isTime(json.startedAt) &&
    isTime(json.firstTokenAt) &&
    isTime(json.finishedAt)
  );
}

function isRide(json: unknown): boolean {
  return (
    isFields(json) &&
    typeof json.worker === 'string' &&
    isCount(json.batchId) &&
    isCount(json.batchSize) &&
    json.batchSize >= 1
  );
}

function isRunMark(json: unknown): boolean {
  return isFields(json) && isFingerprint(json.numerics) && typeof json.exact === 'boolean';
}

function isFingerprint(json: unknown): boolean {
  return typeof json === 'string' && json.length <= 64;
}

function isTime(json: unknown): boolean {
  return typeof json === 'number' && json >= 0 && Number.isFinite(json);
}

function isCounts(json: unknown): boolean {
  return Array.isArray(json) && json.every(isCount);
}

function isCount(json: unknown): json is number {
  return typeof json === 'number' && json >= 0 && Number.isSafeInteger(json);
}

function isFields(json: unknown): json is Fields {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
