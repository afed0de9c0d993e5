import { flag, integer, optional, text, url } from './kinds.ts';
import type { SettingsTable } from './setting.ts';

/** Settings of the board alone. */
export interface BoardOnlyConfig {
  boardHost: string;
  boardPort: number;
  boardUser: string;
  boardPassword: string;
  boardReadOnly: boolean;
  boardApiUrl: string | undefined;
}

export const boardSettings: SettingsTable<BoardOnlyConfig> = {
  boardHost: {
    ...text(/^[A-Za-z0-9.:-]{1,253}$/, 'an IP address or host name to listen on'),
    env: 'BOARD_HOST',
    default: '127.0.0.1',
    doc: 'Address that the board listens on.',
  },
  boardPort: {
    ...integer(0, 65_535),
    env: 'BOARD_PORT',
    default: 3001,
    doc: 'Port that the board listens on; 0 takes a free one.',
  },
  boardUser: {
    ...text(/^[^:\p{Cc}]{1,64}$/u, '1 to 64 characters without a colon'),
    env: 'BOARD_USER',
    default: 'admin',
    doc: 'User name of the board’s login.',
  },
  boardPassword: {
    ...text(/^\P{Cc}{8,256}$/u, '8 to 256 characters'),
    env: 'BOARD_PASSWORD',
    default: '',
    defaultText: 'none: the board does not start without one',
    secret: true,
    doc: 'Password of the board’s login. The board shows (shortened) prompts and answers.',
  },
  boardReadOnly: {
    ...flag(),
    env: 'BOARD_READ_ONLY',
    default: false,
    doc: '`true` hides and refuses everything that changes a queue.',
  },
  boardApiUrl: {
    ...optional(url(['http', 'https'])),
    env: 'BOARD_API_URL',
    default: undefined,
    defaultText: 'none: no links',
    doc: 'Where the browsers of the board’s users reach the API: each job then links to its events. Browsers send no key along: leave it unset where `API_KEYS` is set, as there the API answers such links with 401.',
  },
};
