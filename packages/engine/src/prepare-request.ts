import { ShoalError } from '@shoal/protocol';
import type { EngineModel, EngineRequest } from './generation-engine.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

/** What turns a prompt into tokens. */
export interface PromptReader {
  model: EngineModel;
  tokenizer: Tokenizer;
  /** Unix milliseconds. */
  now: number;
}

/**
 * The token ids of a request's prompt, checked against the model.
 *
 * @throws ShoalError `invalid_request_error` or `context_length_exceeded`
 */
export function tokenisePrompt(request: EngineRequest, { model, tokenizer, now }: PromptReader): readonly number[] {
  const { prompt, messages, chatTemplateKwargs, promptTokenIds, askedAt = now } = request;
  const given = [prompt, messages, promptTokenIds].filter((field) => field !== undefined);
  if (given.length !== 1) throw invalid('give exactly one of prompt, messages and promptTokenIds', undefined);
  if (promptTokenIds !== undefined) return checked(promptTokenIds, 'promptTokenIds', model);
  const chat = messages !== undefined;
  const text = chat ? tokenizer.render({ messages, chatTemplateKwargs, now: askedAt }) : (prompt ?? '');
  const param = chat ? 'messages' : 'prompt';
  if (text.length > tokenizer.longestText(model.maxModelLen)) {
    throw tooLong(`more than ${model.maxModelLen}`, model, param);
  }
  return checked(tokenizer.encode(text, !chat), param, model);
}

/**
 * Refuses parameters that make no sense for this model, or together.
 *
 * @throws ShoalError `invalid_request_error`
 */
export function checkParams(request: EngineRequest, model: EngineModel): void {
  const { params, resumeFrom } = request;
  const { minTokens = 0, maxTokens, stopTokenIds = [], logitBias = {} } = params;
  if (maxTokens !== undefined && minTokens > maxTokens) {
    throw invalid(`minTokens (${minTokens}) is above maxTokens (${maxTokens})`, 'minTokens');
  }
  checkVocabulary(stopTokenIds, 'stopTokenIds', model);
  checkVocabulary(Object.keys(logitBias).map(Number), 'logitBias', model);
  checkVocabulary(resumeFrom?.tokenIds ?? [], 'resumeFrom', model);
  const resumed = (resumeFrom?.tokenIds.length ?? 0) > 0;
  if (resumed && params.temperature > 0 && params.seed === undefined) {
    throw invalid('an answer can be resumed only with the seed it was begun with', 'seed');
  }
}

function checked(tokenIds: readonly number[], param: string, model: EngineModel): readonly number[] {
  if (tokenIds.length === 0) throw invalid('the prompt is empty: give at least one token', param);
  if (tokenIds.length >= model.maxModelLen) throw tooLong(String(tokenIds.length), model, param);
  checkVocabulary(tokenIds, param, model);
  return tokenIds;
}

function checkVocabulary(tokenIds: readonly number[], param: string, model: EngineModel): void {
  const unknown = tokenIds.find((id) => !Number.isInteger(id) || id < 0 || id >= model.vocabSize);
  if (unknown === undefined) return;
  throw invalid(`token id ${unknown} is not in the vocabulary: use 0 … ${model.vocabSize - 1}`, param);
}

function tooLong(tokens: string, model: EngineModel, param: string): ShoalError {
  const message =
    `the prompt has ${tokens} tokens, and the context of ${model.maxModelLen} tokens must also hold the answer: ` +
    'shorten the prompt';
  return new ShoalError('context_length_exceeded', message, { param });
}

/** An `invalid_request_error` about one of the request's fields. */
export function invalid(message: string, param: string | undefined): ShoalError {
  return new ShoalError('invalid_request_error', message, param === undefined ? {} : { param });
}
