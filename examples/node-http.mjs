// Over HTTP: whole, streamed, and many at once. See README.md for what must run first.
import { httpClient } from '@shoal/client';

const client = httpClient({
  url: process.env.SHOAL_URL ?? 'http://127.0.0.1:3000',
  apiKey: process.env.SHOAL_API_KEY,
  model: 'minnow',
});

const whole = await client.generate({ prompt: '47 + 38 =', temperature: 0 });
console.log('whole:', whole.text.trim());

const stream = client.stream({ messages: [{ role: 'user', content: 'What is 12 + 87?' }], temperature: 0 });
process.stdout.write('streamed: ');
for await (const { text } of stream) process.stdout.write(text);
const { usage } = await stream.result();
console.log(` (${usage.completionTokens} tokens)`);

const requests = Array.from({ length: 5 }, (_, index) => ({ prompt: `${index} + 1 =`, temperature: 0 }));
for await (const { request, result, error } of client.submitBatch(requests)) {
  console.log(request.prompt, error?.message ?? result.text.trim());
}

await client.close();
