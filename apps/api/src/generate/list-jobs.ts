import { type JobStatus, ShoalError } from '@shoal/protocol';
import type { ListedJob, ListPlace } from '@shoal/queue';
import { z } from 'zod';
import type { ServedModel } from '../models.ts';

export interface JobListing {
  tenant: string | undefined;
  status: JobStatus | undefined;
  limit: number;
  /** `after` of the page before. */
  after: string | undefined;
}

export interface JobPage {
  jobs: (ListedJob & { model: string })[];
  /** Where the next page begins; `undefined` behind the last. */
  after: string | undefined;
}

/** Jobs looked at for one page: a rare status is found page by page, each in bounded time. */
const MOST_SCANNED = 1_000;
const AT_ONCE = 100;

/** The last job of a page: when it was entered, of which model, its id. */
const Cursor = z.tuple([z.int().min(0), z.string().max(128), z.string().max(64)]);
type Cursor = z.infer<typeof Cursor>;

/** A tenant's jobs over all models, newest first; those of one time in the order of their models' names. */
export async function listJobs(models: readonly ServedModel[], listing: JobListing): Promise<JobPage> {
  const { status, limit } = listing;
  const cursor = listing.after === undefined ? undefined : cursorOf(listing.after);
  const page: JobPage = { jobs: [], after: undefined };
  let scanned = 0;
  for await (const job of merged(models, listing, cursor)) {
    if (page.jobs.length === limit || scanned === MOST_SCANNED) return page;
    scanned += 1;
    if (status === undefined || job.view.status === status) page.jobs.push(job);
    page.after = Buffer.from(JSON.stringify([job.at, job.model, job.view.id])).toString('base64url');
  }
  return { ...page, after: undefined };
}

async function* merged(
  models: readonly ServedModel[],
  listing: JobListing,
  cursor: Cursor | undefined,
): AsyncGenerator<JobPage['jobs'][number]> {
  const ordered = [...models].sort((a, b) => (a.card.name < b.card.name ? -1 : 1));
  const sources = ordered.map((model) => jobsOf(model, listing, placeIn(model.card.name, cursor)));
  const heads = await Promise.all(sources.map((source) => source.next()));
  for (;;) {
    let newest = -1;
    let at = Number.NEGATIVE_INFINITY;
    for (const [index, head] of heads.entries()) {
      if (head.done === true || head.value.at <= at) continue;
      newest = index;
      at = head.value.at;
    }
    const [head, source] = [heads[newest], sources[newest]];
    if (head === undefined || head.done === true || source === undefined) return;
    yield head.value;
    heads[newest] = await source.next();
  }
}

async function* jobsOf(
  { card, producer }: ServedModel,
  { tenant, status, limit }: JobListing,
  from: ListPlace | undefined,
): AsyncGenerator<JobPage['jobs'][number], undefined> {
  let atOnce = status === undefined ? Math.min(limit + 1, AT_ONCE) : AT_ONCE;
  for (let after = from; ; ) {
    const { jobs, more } = await producer.list({ tenant, after, limit: atOnce });
    for (const job of jobs) yield { ...job, model: card.name };
    if (!more) return undefined;
    const last = jobs.at(-1);
    // When none of a round is kept any more, all of them have left the list: the next round begins at the same place, and
    // is a large one, so that there are few of them.
    if (last === undefined) atOnce = AT_ONCE;
    else after = { at: last.at, id: last.view.id };
  }
}

function placeIn(model: string, cursor: Cursor | undefined): ListPlace | undefined {
  if (cursor === undefined) return undefined;
  const [at, lastModel, id] = cursor;
  // If the job itself is gone by now, all of its time count as shown.
  if (model === lastModel) return { at, id, shown: true };
  return { at, shown: model < lastModel };
}

function cursorOf(after: string): Cursor {
  const json = Buffer.from(after, 'base64url').toString();
  const parsed = Cursor.safeParse(tryJson(json));
  if (parsed.success) return parsed.data;
  throw new ShoalError('invalid_request_error', 'after: must be the `after` of a page of this list', {
    param: 'after',
  });
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
