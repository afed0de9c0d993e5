import { type Scenario, USUAL } from './scenario.ts';
import { playRound, Rounds } from './strike-round.ts';

export const killApi: Scenario = {
  ...USUAL,
  name: 'kill-api',
  title: 'kill -9 of the API in mid-stream; its readers go on at the other replica with Last-Event-ID',
  rounds: 50,
  async play(arena, rounds) {
    const { apis } = arena.cluster;
    let moved = 0;
    const played = await Rounds.play(arena, rounds, async (index) => {
      const api = index % apis.length;
      const result = await playRound(arena, {
        api,
        pieces: arena.random.between(3, 25),
        strike: async () => void apis[api]?.signal('SIGKILL'),
      });
      if (result === undefined) return undefined;
      if (result.continued > 0) arena.ledger.find(`${result.continued} jobs were claimed again because an API died`);
      const broken = result.entries.filter(({ notes }) => notes.some(({ what }) => /goes on/.test(what))).length;
      moved += broken;
      // Otherwise it died between two answers, and nothing was shown.
      return broken === 0 ? undefined : result;
    });
    return { ...played.countsAndPauses, readersMoved: moved };
  },
};
