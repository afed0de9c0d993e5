import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../ledger/ledger.ts';
import { connect, messageOf } from './client.ts';
import { JobPage } from './wire.ts';

const RETRY_DELAY_MS = 500;

/**
 * Whether every job that is listed is one that a client was told of. When the answer to a submission is lost, it is
 * submitted again under its key; were that another job, only the list would show the first. What is no longer kept is
 * not listed any more.
 */
export async function findUnknownJobs(ledger: Ledger, url: string, limitMs: number): Promise<void> {
  const known = new Set(ledger.entries.map(({ jobId }) => jobId));
  const unanswered = ledger.entries.filter(({ submitted, jobId }) => submitted && jobId === undefined).length;
  try {
    const listed = await listedJobs(url, Date.now() + limitMs);
    const unknown = listed.filter((id) => !known.has(id));
    if (unknown.length <= unanswered) return;
    const count = `${unknown.length} of ${listed.length} listed jobs`;
    ledger.find(`${count} belong to no submission, such as ${unknown[0]}; ${unanswered} submissions had no answer`);
  } catch (error) {
    ledger.find(`the jobs cannot be listed, with everything healed: ${messageOf(error)}`);
  }
}

async function listedJobs(url: string, until: number): Promise<string[]> {
  const ids: string[] = [];
  let after = '';
  do {
    const page = await insist(`${url}/v1/jobs?limit=100${after === '' ? '' : `&after=${after}`}`, until);
    ids.push(...page.data.map(({ id }) => id));
    after = page.after ?? '';
  } while (after !== '');
  return ids;
}

async function insist(url: string, until: number): Promise<JobPage> {
  for (;;) {
    try {
      const { response, leave } = await connect(url, {});
      const page = JobPage.parse(await response.json());
      leave();
      return page;
    } catch (error) {
      if (Date.now() > until) throw error;
    }
    await sleep(RETRY_DELAY_MS);
  }
}
