import { z } from 'zod';

/**
 * Where the end of a job may be told: an absolute http or https URL of at most 2,048 characters, without user or
 * password. Which hosts are called is decided when the call is made.
 */
export const WebhookUrl: z.ZodType<string> = z
  .string()
  .max(2048, 'must have at most 2,048 characters')
  .refine(isCallable, 'must be an absolute http or https URL without user and password');

function isCallable(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password } = new URL(url);
  return (protocol === 'https:' || protocol === 'http:') && username === '' && password === '';
}
