import { GenerateRequest, GenerateResult } from '@shoal/protocol';
import { z } from 'zod';
import { endOfRecord, errorOf, statusOf } from './job-end.ts';
import { parseJson } from './parse-json.ts';
import type { JobView, ListedJob, WebhookView } from './producer.ts';

const Webhook = z.union([
  z.tuple([]).transform(() => undefined),
  z
    .tuple([z.enum(['waiting', 'pending', 'delivered', 'failed']), z.coerce.number(), z.string()])
    .transform(
      ([state, attempts, last]): WebhookView => ({ state, attempts, ...(last === '' ? {} : { lastError: last }) }),
    ),
]);

/** What lua/view.ts says of a job. */
const ViewReply = z.tuple([
  z.enum(['queued', 'running', 'completed', 'failed']),
  z.number(),
  z.coerce.number(),
  z.string(),
  z.coerce.number(),
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  z.enum(['', 'cancelled', 'expired']),
  Webhook,
]);
const ListReply = z.tuple([z.array(z.tuple([z.string(), z.coerce.number(), ViewReply])), z.string()]);

/** What a view tells of the request itself. */
const Owner = z.looseObject({ tenant: z.string().optional(), fingerprint: z.string().optional() });

export function readViewReply(id: string, reply: unknown): JobView | undefined {
  const parsed = ViewReply.nullable().parse(reply);
  return parsed === null ? undefined : viewOf(id, parsed);
}

/**
 * What the job was asked, and as of when where that counts; `undefined` also for a job of another kind, which foreign
 * producers may have added.
 */
export function readRequestReply(reply: unknown): GenerateRequest | undefined {
  const parsed = ViewReply.nullable().parse(reply);
  if (parsed === null) return undefined;
  const [, , queuedAt, , , , , data] = parsed;
  const asked = GenerateRequest.safeParse(parseJson(data)).data;
  // The time that its worker rendered the chat by, so that asking again renders the same prompt.
  return asked?.messages === undefined ? asked : { ...asked, askedAt: asked.askedAt ?? queuedAt };
}

export function readListReply(reply: unknown): { jobs: ListedJob[]; more: boolean } {
  const [rows, more] = ListReply.parse(reply);
  return { jobs: rows.map(([id, at, row]) => ({ at, view: viewOf(id, row) })), more: more === '1' };
}

function viewOf(id: string, reply: z.infer<typeof ViewReply>): JobView {
  const [state, position, queuedAt, finishedOn, attempts, returnvalue, failedReason, data, wait, ownEnd, webhook] =
    reply;
  if (ownEnd !== '') return { id, status: ownEnd, queuedAt, attempts, ...ownerOf(data), error: endOfRecord(ownEnd) };
  const error = state === 'failed' ? errorOf(failedReason) : undefined;
  const result = state === 'completed' ? GenerateResult.safeParse(parseJson(returnvalue)).data : undefined;
  return {
    id,
    status: statusOf(state, error),
    queuedAt,
    attempts,
    ...(finishedOn === '' ? {} : { finishedAt: Number(finishedOn) }),
    ...(position < 0 ? {} : { position }),
    ...(wait === '' ? {} : { estimatedWaitMs: Number(wait) }),
    ...ownerOf(data),
    ...(result === undefined ? {} : { result }),
    ...(error === undefined ? {} : { error }),
    ...(webhook === undefined ? {} : { webhook }),
  };
}

function ownerOf(data: string): Pick<JobView, 'tenant' | 'fingerprint'> {
  const { tenant, fingerprint } = Owner.safeParse(parseJson(data)).data ?? {};
  return { ...(tenant === undefined ? {} : { tenant }), ...(fingerprint === undefined ? {} : { fingerprint }) };
}
