import type { ChatMessage, ChatRole } from '@shoal/protocol';
import { z } from 'zod';
import { isWellFormed, WELL_FORMED } from './well-formed.ts';

const text = z.string().refine(isWellFormed, { error: WELL_FORMED });

const textPart = z.object(
  { type: z.literal('text', { error: 'only text parts are supported' }), text },
  { error: 'must be a part {"type":"text","text":…}' },
);

const roles: {
  readonly system: ChatRole;
  readonly developer: ChatRole;
  readonly user: ChatRole;
  readonly assistant: ChatRole;
} = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
};

const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant'], {
    error: 'must be system, developer, user or assistant; tool messages are not supported',
  }),
  content: z.union([text, z.array(textPart).max(1000)], { error: 'must be a string or an array of text parts' }),
});

export interface MessageField {
  role: keyof typeof roles;
  content: string | { type: 'text'; text: string }[];
}

/** OpenAI's `messages`, text only. */
export const MessagesField: z.ZodType<MessageField[], unknown> = z
  .array(message, { error: 'must be an array of messages' })
  .min(1, { error: 'must hold at least one message' })
  .max(1000, { error: 'must hold at most 1,000 messages' })
  .refine((messages) => messages.some(({ content }) => content.length > 0), {
    error: 'must hold at least one message that is not empty',
  })
  .describe('The conversation so far; the model’s chat template turns it into a prompt.');

/** The conversation as the engine takes it: `developer` is `system`, text parts are joined. */
export function chatMessages(messages: readonly MessageField[]): ChatMessage[] {
  return messages.map(({ role, content }) => ({
    role: roles[role],
    content: typeof content === 'string' ? content : content.map((part) => part.text).join(''),
  }));
}
