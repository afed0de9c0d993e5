import { ShoalError, type TokensEvent } from '@shoal/protocol';
import type { FastifyReply } from 'fastify';
import type { ServerDeps } from '../deps.ts';
import { errorJson } from '../plugins/errors.ts';
import { followJob } from './answer.ts';
import { ChoiceWriter } from './choice-writer.ts';
import { EventStream, streamOptions } from './event-stream.ts';
import type { GenerationSpec } from './generation-spec.ts';
import type { RequestMeasure } from './measure.ts';
import type { RequestScope } from './request-scope.ts';
import {
  type Answer,
  choicesOf,
  type ResponseJson,
  type ResponseMeta,
  type ResponseShape,
  systemFingerprint,
} from './response-shape.ts';
import type { SubmittedJob } from './submission.ts';

/** One request on its way: what its jobs are, and what is known of it so far. */
export interface InFlight {
  readonly spec: GenerationSpec;
  readonly shape: ResponseShape;
  readonly meta: ResponseMeta;
  readonly jobs: readonly SubmittedJob[];
  readonly scope: RequestScope;
  readonly measure: RequestMeasure;
}

/** The whole answer, when all of it is there. */
export async function deliverWhole(inFlight: InFlight): Promise<object> {
  const answers = await followAll(inFlight, () => {});
  const { shape, meta } = inFlight;
  return shape.whole({ ...meta, fingerprint: fingerprintOf(answers) ?? meta.fingerprint }, answers);
}

/** What computed the answers, where they were all computed alike. */
function fingerprintOf(answers: readonly Answer[]): string | undefined {
  const [first, ...others] = answers.map(({ result }) => result.numerics);
  if (first === undefined || others.some((other) => other !== first)) return undefined;
  return systemFingerprint(first);
}

/** The answer as it comes. Nothing is returned: it has been sent. */
export async function deliverStream(deps: ServerDeps, inFlight: InFlight, reply: FastifyReply): Promise<undefined> {
  const { shape, spec } = inFlight;
  const meta = { ...inFlight.meta };
  const events = new EventStream(reply, streamOptions(deps));
  // With include_usage, OpenAI's chunks all carry `usage`; it is null in all but the last.
  const send = (chunk: ResponseJson): Promise<void> => {
    if (spec.includeUsage) chunk.usage ??= null;
    return events.send(JSON.stringify(chunk));
  };
  const perJob = spec.params.n ?? 1;
  const writers = Array.from({ length: inFlight.jobs.length * perJob }, (_, index) => {
    // Asked when the choice begins: a worker may tell it with its first token.
    const echo = (): string => spec.echo?.[Math.floor(index / perJob)] ?? '';
    return new ChoiceWriter({ shape, meta, index, echo, send });
  });
  try {
    const answers = await followAll(
      inFlight,
      (first, event) => {
        if (event.run !== undefined) meta.fingerprint = systemFingerprint(event.run.numerics);
        return writers[first + (event.choice ?? 0)]?.write(event.text, event.logprobs);
      },
      async (answer) => {
        for (const choice of choicesOf(answer)) await writers[choice.index]?.finish(choice);
      },
    );
    if (spec.includeUsage) await send(shape.usage(meta, answers));
    await events.send('[DONE]');
  } catch (error) {
    if (events.opened) await events.send(JSON.stringify(errorJson(error))).catch(() => {});
    throw error;
  } finally {
    events.end();
  }
}

/** Follows all jobs at once; the first failure stops the others. `first` is the index of a job's first choice. */
async function followAll(
  { spec, jobs, scope, measure }: InFlight,
  onTokens: (first: number, event: TokensEvent) => void | Promise<void>,
  onAnswer: (answer: Answer) => void | Promise<void> = () => {},
): Promise<Answer[]> {
  const follow = async (job: SubmittedJob): Promise<Answer> => {
    const first = job.index * (spec.params.n ?? 1);
    let counted = job.promptTokens;
    const result = await followJob(job, scope, (event) => {
      measure.arrived(event.tokenIds.length);
      counted += event.tokenIds.length;
      if (event.promptText !== undefined && spec.echo !== undefined) spec.echo[job.index] = event.promptText;
      return onTokens(first, event);
    });
    measure.result(result, counted);
    const answer = { jobId: job.id, first, echo: spec.echo?.[job.index] ?? '', result };
    await onAnswer(answer);
    return answer;
  };
  try {
    return await Promise.all(jobs.map(follow));
  } catch (error) {
    scope.abort(new ShoalError('cancelled', 'another part of the request failed'));
    throw error;
  }
}
