import { ShoalError } from '@shoal/protocol';
import type { HubModelId } from './model-id.ts';
import { TransientError } from './retry.ts';

/** What an answer other than 2xx means: worth another try, or a fault that somebody must mend. */
export function refusalOf(
  response: Response,
  asked: HubModelId,
  hub: { endpoint: string; token: string | undefined },
): Error {
  const { status, headers } = response;
  const name = `${asked.repo} on ${hub.endpoint}`;
  if (status === 408 || status === 429 || status >= 500) {
    return new TransientError(`${hub.endpoint} answered ${status}`, { retryAfterMs: retryAfterMs(headers) });
  }
  // https://github.com/huggingface/huggingface_hub/blob/main/src/huggingface_hub/utils/_http.py
  const code = headers.get('x-error-code');
  if (code === 'GatedRepo' || (status === 403 && code !== 'DisabledRepo')) {
    const remedy = `ask for access at ${hub.endpoint}/${asked.repo}, and set HF_TOKEN to a token of who was granted it`;
    return fault(`${name}: access is restricted (${status}); ${remedy}`);
  }
  if (code === 'RevisionNotFound') {
    return fault(`${name}: there is no revision ${asked.revision}; give a branch, a tag or a commit of it`);
  }
  if (status === 401) {
    return fault(
      hub.token === undefined
        ? `${name}: there is no such model, or it is private; check the name, or set HF_TOKEN to a token that may read it`
        : `${name}: the token in HF_TOKEN is not valid, or may not read this model; make a new one`,
    );
  }
  if (code === 'EntryNotFound') return fault(`${name}: a file that was listed is not there; try again`);
  if (status === 404) return fault(`${name}: there is no such model; check its name`);
  return fault(`${name}: the hub answered ${status} ${code ?? ''}`.trimEnd().concat('; check HF_ENDPOINT'));
}

function fault(message: string): ShoalError {
  return new ShoalError('model_not_found', message);
}

function retryAfterMs(headers: Headers): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}
