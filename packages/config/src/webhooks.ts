import { z } from 'zod';
import { flag, integer } from './kinds.ts';
import type { Kind, SettingsTable } from './setting.ts';

/** How the ends of jobs are told to their webhooks. */
export interface WebhookConfig {
  /** Base64 of each secret, without its prefix. The first is the newest. */
  webhookSecret: readonly string[];
  webhookAllowPrivate: boolean;
  webhookTimeoutMs: number;
  webhookMaxAttempts: number;
}

export const webhookSettings: SettingsTable<WebhookConfig> = {
  webhookSecret: {
    ...webhookSecrets(),
    env: 'WEBHOOK_SECRET',
    default: Object.freeze([]),
    defaultText: 'none: `webhook_url` is refused',
    secret: true,
    doc: 'Secret with which webhooks are signed, as Standard Webhooks words it: `whsec_` and base64 of 24 to 64 bytes. Several, separated by commas, sign side by side while receivers change over.',
  },
  webhookAllowPrivate: {
    ...flag(),
    env: 'WEBHOOK_ALLOW_PRIVATE',
    default: false,
    doc: '`true` lets webhooks go to private, link-local and loopback addresses, and over plain http. Only where every caller may reach what this process reaches.',
  },
  webhookTimeoutMs: {
    ...integer(100, 60_000),
    env: 'WEBHOOK_TIMEOUT_MS',
    default: 10_000,
    unit: 'ms',
    doc: 'How long one call of a webhook may take, until the status of its answer.',
  },
  webhookMaxAttempts: {
    ...integer(1, 100),
    env: 'WEBHOOK_MAX_ATTEMPTS',
    default: 16,
    doc: 'Calls of one webhook, after which it is given up. The pauses between them double from 2 s to 15 min: 16 take about two hours. What is told after `RESULT_TTL_S` comes without the result.',
  },
};

const SECRET = /^whsec_(?<base64>[A-Za-z0-9+/]{32,88}={0,2})$/;

/** Secrets separated by commas. */
function webhookSecrets(): Kind<readonly string[]> {
  return {
    schema: z.string().transform((value, context) => {
      const entries = value.split(',').map((entry) => SECRET.exec(entry.trim())?.groups?.base64);
      const secrets = entries.filter((entry) => entry !== undefined && isKey(entry)).map(String);
      if (secrets.length < entries.length) context.addIssue({ code: 'custom', message: 'malformed secret' });
      return Object.freeze(secrets);
    }),
    expected: 'secrets separated by commas, each whsec_ and the base64 of 24 to 64 bytes',
  };
}

function isKey(base64: string): boolean {
  const { length } = Buffer.from(base64, 'base64');
  return length >= 24 && length <= 64;
}
