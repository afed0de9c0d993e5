import { MODEL } from '../cluster/cluster.ts';
import type { Random } from '../random.ts';

/** The part of a body that says what is asked, not how it is served (stream, priority, deadline). */
interface AskBody {
  model: string;
  prompt?: string;
  messages?: { role: 'user'; content: string }[];
  temperature: number;
  seed?: number;
  top_p?: number;
  n?: number;
  max_tokens: number;
  min_tokens?: number;
  ignore_eos?: boolean;
}

/** One thing that can be asked, whose answer is determined: greedy, or sampled with a seed of its own. */
export interface Ask {
  readonly index: number;
  readonly endpoint: '/v1/completions' | '/v1/chat/completions';
  readonly body: Readonly<AskBody>;
  readonly choices: number;
}

const CREATURES = ['fox', 'frog', 'owl', 'cat', 'bear', 'mouse', 'goose', 'otter'] as const;
const THINGS = ['lantern', 'candle', 'boat', 'drum', 'kite', 'ladder', 'map', 'bell'] as const;

/** `count` different asks with answers of `tokens` tokens (from – to). */
export function askCatalogue(random: Random, count: number, tokens: readonly [number, number]): Ask[] {
  return Array.from({ length: count }, (_, index) => {
    const sampled = index % 2 === 1;
    const choices = sampled && random.chance(0.25) ? random.between(2, 3) : 1;
    const maxTokens = random.between(...tokens);
    const story = `story about a ${random.pick(CREATURES)} and a ${random.pick(THINGS)}`;
    const chat = random.chance(0.5);
    const body: AskBody = {
      model: MODEL,
      ...(chat
        ? { messages: [{ role: 'user', content: `Tell me a ${story}, number ${index}.` }] }
        : { prompt: `${index}. A short ${story}:` }),
      ...(sampled
        ? {
            temperature: random.pick([0.7, 1, 1.2]),
            seed: random.between(0, 2 ** 31),
            ...(random.chance(0.5) ? { top_p: 0.9 } : {}),
          }
        : { temperature: 0 }),
      ...(choices > 1 ? { n: choices } : {}),
      max_tokens: maxTokens,
      // Long answers in two ways: going on behind the end, and not ending before.
      ...(random.chance(0.5) ? { ignore_eos: true } : { min_tokens: maxTokens }),
    };
    return { index, endpoint: chat ? '/v1/chat/completions' : '/v1/completions', body, choices };
  });
}

export function describeAsk({ index, endpoint, body, choices }: Ask): string {
  const how = body.temperature === 0 ? 'greedy' : `temperature ${body.temperature}, seed ${body.seed}`;
  return `ask ${index}: ${endpoint}, ${how}, max_tokens ${body.max_tokens}, n ${choices}`;
}
