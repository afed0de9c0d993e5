import { createHmac } from 'node:crypto';

/**
 * The `webhook-signature` of one call, as Standard Webhooks defines it: for each secret `v1,` and the base64 of
 * HMAC-SHA256 over `<webhook-id>.<webhook-timestamp>.<body>`, separated by spaces.
 *
 * @param secrets base64
 * @param timestamp Unix time in seconds
 * @see https://www.standardwebhooks.com
 */
export function signatureOf(secrets: readonly string[], id: string, timestamp: number, body: string): string {
  return secrets
    .map((secret) => createHmac('sha256', Buffer.from(secret, 'base64')).update(`${id}.${timestamp}.${body}`))
    .map((hmac) => `v1,${hmac.digest('base64')}`)
    .join(' ');
}
