import { OrtError } from '@shoal/ort';
import { describe, expect, it } from 'vitest';
import type { EngineFact } from './events.ts';
import { echoRequest, readAnswer, type ScriptedEngine, scriptedEngine } from './testing/scripted-engine.ts';

const LETTERS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** What each of eight requests said, or the code of its error. */
async function eight({ engine }: ScriptedEngine, length: number): Promise<string[]> {
  const answers = await Promise.allSettled(
    LETTERS.map((letter) => readAnswer(engine.generate(echoRequest(letter, letter.repeat(length))))),
  );
  return answers.map((answer) => (answer.status === 'fulfilled' ? answer.value.text : answer.reason.code));
}

const whole = (length: number) => LETTERS.map((letter) => letter.repeat(length));
const decodeSizes = (facts: readonly EngineFact[]) =>
  facts.flatMap((fact) => (fact.type === 'step' && fact.phase === 'decode' ? [fact.batchSize] : []));

describe.each(['continuous', 'static'] as const)('a run that fails, %s', (batching) => {
  it('because memory is short is tried with half of the rows, and that many run from then on', async () => {
    const scripted = scriptedEngine({ batching, maxBatchSize: 8 });
    scripted.runner.beforeRun = (phase, rows) => {
      if (phase === 'decode' && rows > 4) throw new OrtError('out_of_memory', 'no memory for this many');
    };
    expect(await eight(scripted, 20)).toEqual(whole(20));
    expect(Math.max(...decodeSizes(scripted.facts))).toBe(4);
    expect(scripted.facts.filter((fact) => fact.type === 'run-failed')).toHaveLength(1);
  });

  it('in a prefill of several is tried one by one', async () => {
    const scripted = scriptedEngine({ batching, maxBatchSize: 8 });
    scripted.runner.beforeRun = (phase, rows) => {
      if (phase === 'prefill' && rows > 1) throw new Error('too many');
    };
    expect(await eight(scripted, 20)).toEqual(whole(20));
  });

  it('because of one sequence fails that one alone, in prefill or in decode', async () => {
    for (const at of [1, 10]) {
      const scripted = scriptedEngine({ batching, maxBatchSize: 8 });
      scripted.runner.afterWrite = (histories) => {
        if (histories.some((history) => history[1] === 0x66 && history.length > 20 + at)) throw new Error('poison');
      };
      const expected = whole(20);
      expected[5] = 'inference_error';
      expect(await eight(scripted, 20)).toEqual(expected);
      expect(scripted.engine.stats()).toMatchObject({ waiting: 0, running: 0 });
    }
  });

  it('again and again fails every sequence, and the engine is ready for the next', async () => {
    const scripted = scriptedEngine({ batching, maxBatchSize: 8 });
    scripted.runner.beforeRun = () => {
      throw new Error('the device went away');
    };
    expect(await eight(scripted, 5)).toEqual(LETTERS.map(() => 'inference_error'));
    scripted.runner.beforeRun = undefined;
    expect(await eight(scripted, 5)).toEqual(whole(5));
  });

  it.each([
    ['once, on a device', 1, 'later'],
    ['always, on a device', Number.POSITIVE_INFINITY, 'later'],
    ['once, in host memory', 1, 'at once'],
    ['always, in host memory', Number.POSITIVE_INFINITY, 'at once'],
  ] as const)(
    'because a row could not be copied, %s, goes on from the tokens: none is lost or wrong',
    async (...given) => {
      const [, times, copiesFail] = given;
      const scripted = scriptedEngine({ batching, maxBatchSize: 8 });
      scripted.runner.copiesFail = copiesFail;
      let failures = 0;
      scripted.runner.beforeCopy = () => {
        if (++failures <= times) throw new OrtError('out_of_memory', 'no memory for a copy');
      };
      // Of lengths that differ, so that rows leave and others move into their places.
      const texts = LETTERS.map((letter, i) => letter.repeat(5 + 3 * i));
      const answers = await Promise.all(
        texts.map((text, i) => readAnswer(scripted.engine.generate(echoRequest(`${i}`, text)))),
      );
      expect(answers.map(({ text }) => text)).toEqual(texts);
      expect(failures).toBeGreaterThan(0);
      // Fewer rows each time, until there is nothing to copy.
      const lost = scripted.facts.filter((fact) => fact.type === 'run-failed').length;
      expect(lost).toBe(times === 1 ? 1 : 3);
      expect(scripted.engine.stats()).toMatchObject({ waiting: 0, running: 0, kvUsedTokens: 0 });
      const left = scripted.facts.filter((fact) => fact.type === 'left').length;
      expect(left).toBe(scripted.facts.filter((fact) => fact.type === 'joined').length);
    },
  );

  it('because it was ended from outside fails all that were in it, at once', async () => {
    const scripted = scriptedEngine({ batching, maxBatchSize: 8 });
    let runs = 0;
    scripted.runner.beforeRun = () => {
      if (++runs === 5) throw new OrtError('terminated', 'the run was ended');
    };
    expect(await eight(scripted, 20)).toEqual(LETTERS.map(() => 'inference_error'));
    expect(scripted.runner.runs).toHaveLength(4);
  });
});
