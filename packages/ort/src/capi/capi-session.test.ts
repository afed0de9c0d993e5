import { GraphBuilder } from '@shoal/onnx-graph';
import { expect, test } from 'vitest';
import { CapiSession } from './capi-session.ts';
import { libraryPath } from './library.ts';
import { loadOrtApi, type Pointer } from './ort-api.ts';

/** A graph with one more input and output, of bfloat16. The builder does not know it: number 16 of ONNX's types. */
function withBfloat16(which: 'input' | 'output'): Uint8Array {
  const g = new GraphBuilder({ name: 'odd' });
  const cast = (from: string, type: number): string =>
    g.node('Cast', [from], { attributes: { to: { int: type } }, outputs: [`${from}.cast`] });
  const [known, odd] = which === 'input' ? [1, 'int8' as const] : [16, 'float32' as const];
  const y = cast(g.input('x', odd, [1]), known);
  g.output(y, which === 'input' ? 'float32' : 'int8', [1]);
  const bytes = Buffer.from(g.toBytes()).toString('latin1');
  return Buffer.from(bytes.replace('\x08\x03\x12', '\x08\x10\x12'), 'latin1');
}

test.each(['input', 'output'] as const)('a session with an %s of an unknown type is refused, and released', (which) => {
  const api = loadOrtApi(libraryPath());
  const env = api.make((out) => api.createEnv(4, 'test', out));
  const hostInfo = api.make((out) => api.createMemoryInfo('Cpu', 0, 0, 0, out));
  const released: Pointer[] = [];
  const releaseSession = (session: Pointer): void => {
    released.push(session);
    api.releaseSession(session);
  };
  const create = (): CapiSession =>
    new CapiSession({ ...api, releaseSession }, env, hostInfo, withBfloat16(which), { intraOpThreads: 1 });
  expect(create).toThrow(expect.objectContaining({ code: 'not_implemented' }));
  expect(released).toHaveLength(1);
});
