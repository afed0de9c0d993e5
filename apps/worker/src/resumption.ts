import type { EngineModel, FinishedEvent } from '@shoal/engine';
import type { ChosenLogprob, Resumes, RunMark } from '@shoal/protocol';
import type { ClaimedJob } from '@shoal/queue';

type Logged = ClaimedJob['logged'];

/** How a worker goes on with what another one began: `RESUME`. */
export type ResumeMode = 'exact' | 'fast';

/** What this engine will say of the tokens that it adds to a job's log. */
export function runMark(model: EngineModel, logged: Logged, mode: ResumeMode): RunMark {
  const invariant = Object.values(model.invariance).every(Boolean);
  const replayed = logged.tokenIds.length === 0 || mode === 'exact';
  return { numerics: model.fingerprint, exact: invariant && replayed };
}

/** What the result says of the resumes of a job; `undefined` for one that was not resumed. */
export function resumesOf(logged: Logged, run: RunMark): Resumes | undefined {
  if (logged.tokenIds.length === 0) return undefined;
  const { runs = [] } = logged;
  const same = runs.length > 0 && [...runs, run].every((each) => each.exact && each.numerics === run.numerics);
  return { count: Math.max(1, runs.length), label: same ? 'identical' : 'continued' };
}

type Answers = Pick<FinishedEvent, 'logprobs' | 'choices'>;

/** The log probabilities of a whole answer: those that were logged, then those of the tokens since, choice by choice. */
export function wholeLogprobs({ logprobs, choices }: Answers, logged: Logged): Answers {
  if (logprobs === undefined || logged.logprobs === undefined) return { logprobs, choices };
  return {
    logprobs: [...loggedOf(logged, 0), ...logprobs],
    choices: choices?.map((choice, index) => ({
      ...choice,
      logprobs: [...loggedOf(logged, index), ...(choice.logprobs ?? [])],
    })),
  };
}

function loggedOf({ logprobs = [], choices }: Logged, choice: number): ChosenLogprob[] {
  return logprobs.filter((_, index) => (choices?.[index] ?? 0) === choice);
}
