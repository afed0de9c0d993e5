import { expect, test } from 'vitest';
import { createLogger } from './logger.ts';

function logOf(write: (logger: ReturnType<typeof createLogger>) => void, options: { pretty?: boolean } = {}): string {
  let written = '';
  const destination = {
    write(line: string) {
      written += line;
    },
  };
  write(createLogger({ name: 'api', level: 'info', destination, ...options }));
  return written;
}

test('lines are JSON, with the name of the process', () => {
  const line = JSON.parse(logOf((logger) => logger.info({ port: 3000 }, 'listening')));
  expect(line).toMatchObject({ name: 'api', level: 30, port: 3000, msg: 'listening' });
});

test('what is less severe than the level is not written', () => {
  expect(logOf((logger) => logger.debug('detail'))).toBe('');
});

test('prompts, answers and credentials are replaced, at the top and further down', () => {
  const secret = 'hunter2';
  const written = logOf((logger) => {
    logger.info({ prompt: secret, messages: [{ content: secret }], text: secret });
    logger.info({ request: { prompt: secret, body: { anything: secret } } });
    logger.info({ req: { headers: { authorization: secret } }, job: { data: { messages: [secret] } } });
  });
  expect(written).not.toContain(secret);
  expect(written.match(/\[redacted\]/g)?.length).toBe(7);
});

test('pretty lines are for people, and as discreet', () => {
  const written = logOf((logger) => logger.warn({ prompt: 'hunter2' }, 'careful'), { pretty: true });
  expect(written).toContain('careful');
  expect(written).not.toContain('{"level"');
  expect(written).not.toContain('hunter2');
});
