import { describe, expect, it } from 'vitest';
import { type Beat, Heartbeat } from './heartbeat.ts';
import { FakeClock } from './testing/fake-clock.ts';

/** A heart whose beats say what they are told, then rest. */
function heart(answers: Beat[], during: (beat: number) => void = () => {}) {
  const clock = new FakeClock();
  let beats = 0;
  const heartbeat = new Heartbeat(async () => {
    beats += 1;
    during(beats);
    return answers.shift() ?? 'rest';
  }, clock);
  return { heartbeat, clock, beats: () => beats };
}

describe('Heartbeat', () => {
  it('beats while there is work, then rests until it is stirred', async () => {
    const { heartbeat, clock, beats } = heart(['again', 'again']);
    heartbeat.stir();
    await clock.settle();
    expect(beats()).toBe(3);
    heartbeat.stir();
    await clock.settle();
    expect(beats()).toBe(4);
  });

  it('beats again when something comes while it makes up its mind to rest', async () => {
    const { heartbeat, clock, beats } = heart([], (beat) => {
      if (beat === 1) queueMicrotask(() => heartbeat.stir());
    });
    heartbeat.stir();
    await clock.settle();
    expect(beats()).toBe(2);
  });

  it('beats at the time it named, or earlier when something comes', async () => {
    const { heartbeat, clock, beats } = heart([{ until: 1_000_050 }, { until: 1_000_050 }]);
    heartbeat.stir();
    await clock.settle();
    clock.advance(49);
    await clock.settle();
    expect(beats()).toBe(1);
    heartbeat.stir();
    await clock.settle();
    expect(beats()).toBe(2);
    clock.advance(1);
    await clock.settle();
    expect(beats()).toBe(3);
    clock.advance(1000);
    await clock.settle();
    expect(beats()).toBe(3);
  });

  it('forgets its timer when it is stopped', async () => {
    const { heartbeat, clock, beats } = heart([{ until: 1_000_050 }]);
    heartbeat.stir();
    await clock.settle();
    await heartbeat.stop();
    clock.advance(100);
    await clock.settle();
    expect(beats()).toBe(1);
  });
});
