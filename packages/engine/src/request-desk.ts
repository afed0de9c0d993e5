import { Answer } from './answer.ts';
import type { EventSink } from './event-stream.ts';
import type { EngineModel, EngineRequest } from './generation-engine.ts';
import { checkParams, invalid, tokenisePrompt } from './prepare-request.ts';
import { Sequence } from './sequence.ts';
import { TextAssembler } from './tokenizer/text-assembler.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';

export interface RequestDeskOptions {
  model: EngineModel;
  tokenizer: Tokenizer;
  eosTokenIds: readonly number[];
  drawSeed: () => number;
}

/** Where requests come in: checks them and turns them into sequences. */
export class RequestDesk {
  readonly #options: RequestDeskOptions;
  #accepted = 0;

  constructor(options: RequestDeskOptions) {
    this.#options = options;
  }

  /**
   * @param now Unix milliseconds
   * @throws ShoalError `invalid_request_error` or `context_length_exceeded`
   */
  accept(request: EngineRequest, sink: EventSink, now: number): Answer {
    const { model, tokenizer, drawSeed } = this.#options;
    checkParams(request, model);
    const promptTokenIds = tokenisePrompt(request, { model, tokenizer, now });
    const promptText = request.echo === true ? tokenizer.decode([...promptTokenIds]) : undefined;
    const answer = new Answer(request.id, sink, promptText);
    const seed = request.params.seed ?? drawSeed();
    answer.begin(
      Array.from({ length: request.params.n ?? 1 }, (_, choice) =>
        this.#sequence(request, { answer, choice, promptTokenIds, seed, arrivedAt: now }),
      ),
    );
    if (request.resumeFrom === undefined || answer.resume(request.resumeFrom, now)) return answer;
    throw invalid('the tokens to resume from go on after the end of the answer', 'resumeFrom');
  }

  #sequence(
    { params, tenant, messages }: EngineRequest,
    init: { answer: Answer; choice: number; promptTokenIds: readonly number[]; seed: number; arrivedAt: number },
  ): Sequence {
    const { model, tokenizer, eosTokenIds } = this.#options;
    // The answer of a chat is a text of its own; elsewhere it goes on with the prompt, and may begin with a space.
    const before = messages === undefined ? init.promptTokenIds : [];
    const reading = { concatenates: tokenizer.concatenates, before };
    const room = model.maxModelLen - init.promptTokenIds.length;
    return new Sequence({
      ...init,
      params,
      tenant,
      maxNewTokens: Math.min(params.maxTokens ?? room, room),
      endTokenIds: new Set([...(params.ignoreEos ? [] : eosTokenIds), ...(params.stopTokenIds ?? [])]),
      ordinal: this.#accepted++,
      text: new TextAssembler((tokenIds) => tokenizer.decode(tokenIds), params.stop, reading),
    });
  }
}
