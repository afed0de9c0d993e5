import { expect, test } from 'vitest';
import { signatureOf } from './signature.ts';

test('signs as the example of the Standard Webhooks libraries does', () => {
  const secret = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
  const sign = (...secrets: string[]) =>
    signatureOf(secrets, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}');
  expect(sign(secret)).toBe(signature);
  expect(sign('c2hvYWwtc2hvYWwtc2hvYWwtc2hvYWw=', secret).split(' ')).toEqual([
    expect.stringMatching(/^v1,/),
    signature,
  ]);
});
