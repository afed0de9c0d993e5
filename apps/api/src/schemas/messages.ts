import type { ChatMessage, ChatRole } from '@shoal/protocol';
import type { z } from 'zod';
import { type Fault, faultAmong, firstFault, within } from './first-fault.ts';
import { isWellFormed, WELL_FORMED } from './well-formed.ts';

const MAX_MESSAGES = 1000;
const MAX_PARTS = 1000;

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

export interface MessageField {
  role: keyof typeof roles;
  content: string | { type: 'text'; text: string }[];
}

const TEXT_PART = {
  type: 'object',
  properties: { type: { type: 'string', const: 'text' }, text: { type: 'string' } },
  required: ['type', 'text'],
};
const MESSAGE = {
  type: 'object',
  properties: {
    role: { type: 'string', enum: Object.keys(roles) },
    content: { anyOf: [{ type: 'string' }, { type: 'array', items: TEXT_PART, maxItems: MAX_PARTS }] },
  },
  required: ['role', 'content'],
};

/** OpenAI's `messages`, text only. Fields that it does not name may be there, but no calls of tools. */
export const MessagesField: z.ZodType<MessageField[], unknown> = firstFault(faultInMessages, {
  ...{ type: 'array', items: MESSAGE, minItems: 1, maxItems: MAX_MESSAGES },
  description: 'The conversation so far; the model’s chat template turns it into a prompt.',
});

function faultInMessages(messages: unknown): Fault | undefined {
  if (!Array.isArray(messages)) return { message: 'must be an array of messages' };
  if (messages.length === 0) return { message: 'must hold at least one message' };
  if (messages.length > MAX_MESSAGES) return { message: 'must hold at most 1,000 messages' };
  const fault = faultAmong(messages, faultInMessage);
  if (fault !== undefined) return fault;
  const saysSomething = messages.some(({ content }: MessageField) => content.length > 0);
  return saysSomething ? undefined : { message: 'must hold at least one message that is not empty' };
}

function faultInMessage(message: unknown): Fault | undefined {
  if (!isObject(message)) return { message: 'must be a message {"role":…,"content":…}' };
  const { role, content } = message;
  if (typeof role !== 'string' || !Object.hasOwn(roles, role)) {
    return within({ message: 'must be system, developer, user or assistant; tool messages are not supported' }, 'role');
  }
  // Looked at before the content, which such a message may go without.
  for (const name of ['tool_calls', 'function_call'] as const) {
    if (!asksNothing(message[name])) return within({ message: 'not supported by this version; leave it out' }, name);
  }
  const fault = faultInContent(content);
  return fault === undefined ? undefined : within(fault, 'content');
}

function faultInContent(content: unknown): Fault | undefined {
  if (typeof content === 'string') return isWellFormed(content) ? undefined : { message: WELL_FORMED };
  const areParts = Array.isArray(content) && content.length <= MAX_PARTS && content.every(isTextPart);
  if (!areParts) return { message: 'must be a string or an array of text parts' };
  return faultAmong(content, ({ text }) => (isWellFormed(text) ? undefined : within({ message: WELL_FORMED }, 'text')));
}

/** A model that is not told of a call would answer another conversation than the caller sees. */
function asksNothing(call: unknown): boolean {
  return call === undefined || call === null || (typeof call === 'object' && Object.keys(call).length === 0);
}

function isTextPart(part: unknown): boolean {
  return isObject(part) && part.type === 'text' && typeof part.text === 'string';
}

type Field = 'role' | 'content' | 'tool_calls' | 'function_call' | 'type' | 'text';

function isObject(value: unknown): value is { [Name in Field]?: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The conversation as the engine takes it: `developer` is `system`, text parts are joined. */
export function chatMessages(messages: readonly MessageField[]): ChatMessage[] {
  return messages.map(({ role, content }) => ({
    role: roles[role],
    content: typeof content === 'string' ? content : content.map((part) => part.text).join(''),
  }));
}
