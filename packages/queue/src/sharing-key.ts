import { createHash } from 'node:crypto';
import type { GenerateRequest } from '@shoal/protocol';

/**
 * The key under which equal requests share one generation: a hash of the tenant, the model's revision and everything in
 * the request that has a say in the answer. `undefined` when the answer is left to chance: it is sampled, and the
 * caller gave no seed (ask before giving it one).
 */
export function sharingKey(request: GenerateRequest, revision: string): string | undefined {
  const { prompt, messages, askedAt, chatTemplateKwargs, promptTokenIds, params, tenant, echo } = request;
  if (params.temperature > 0 && params.seed === undefined) return undefined;
  const asked = [prompt ?? null, messages ?? null, promptTokenIds ?? null];
  const content = [tenant ?? null, revision, ...asked, sorted(params)];
  // Its log must tell the prompt.
  if (echo === true) content.push('echo');
  // Another day may be another prompt.
  if (askedAt !== undefined) content.push(`asked at ${askedAt}`);
  // Pairs, so never taken for the words before them.
  if (chatTemplateKwargs !== undefined) content.push(sorted(chatTemplateKwargs));
  return createHash('sha256').update(JSON.stringify(content)).digest('base64url');
}

/** Fields in the order of their names: equal parameters give equal JSON. */
function sorted(params: object): [string, unknown][] {
  return Object.entries(params)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
