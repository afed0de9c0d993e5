import { expect, test } from 'vitest';
import { isForeignChange } from './login.ts';

const board = 'board.example';
const own = `https://${board}`;
const other = 'https://other.example';

test.each([
  ['from the page, behind a proxy that passes on no host', 'same-origin', own, 'board:3001', false],
  ['from another site, whatever origin and host say', 'cross-site', own, board, true],
  ['from another name of the same site', 'same-site', own, board, true],
  ['told twice', 'same-origin, cross-site', own, board, true],
  ['by an extension', 'none', 'chrome-extension://abc', board, true],
  ['of no site, with our origin', 'none', own, board, false],
  ['over plain http, from the page', undefined, own, board, false],
  ['over plain http, from another page', undefined, other, board, true],
  ['from a page without an origin', undefined, 'null', board, true],
  ['from no browser', undefined, undefined, board, false],
])('a change %s', (_, site, origin, host, isForeign) => {
  const headers = {
    host,
    ...(site === undefined ? {} : { 'sec-fetch-site': site }),
    ...(origin === undefined ? {} : { origin }),
  };
  expect(isForeignChange({ method: 'PUT', headers })).toBe(isForeign);
  expect(isForeignChange({ method: 'GET', headers })).toBe(false);
});
