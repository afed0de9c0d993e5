import { ShoalError } from '@shoal/protocol';

/** Where the API is, and what it is told of who asks. */
export interface ApiAddress {
  /** Without user and password, without `/v1` and without a slash at the end. */
  base: string;
  /** What the `authorization` header says, if anything. */
  authorization: string | undefined;
}

/**
 * Takes an API's URL apart. `fetch` refuses a URL with a user and password: they become `Authorization: Basic`.
 * Throws `invalid_request_error`, and repeats no value: one may be a password.
 */
export function apiAddress({ url: text, apiKey }: { url: string; apiKey?: string | undefined }): ApiAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw invalid('must be an http or https URL, as in http://127.0.0.1:3000');
  }
  const basic = basicOf(url);
  if (basic !== undefined && apiKey !== undefined) {
    throw invalid('holds a user or password, and there is an API key: a request can carry one of them; take one away');
  }
  url.username = '';
  url.password = '';
  const authorization = apiKey === undefined ? basic : `Bearer ${apiKey}`;
  return { base: url.href.replace(/\/+(v1\/?)?$/, ''), authorization };
}

function basicOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  let login: string;
  try {
    login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    throw invalid('holds a user or password with a % that begins no code; write %25 for a %');
  }
  return `Basic ${Buffer.from(login).toString('base64')}`;
}

function invalid(problem: string): ShoalError {
  return new ShoalError('invalid_request_error', `url: ${problem}`, { param: 'url' });
}
