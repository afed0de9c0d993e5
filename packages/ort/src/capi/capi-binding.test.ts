import { GraphBuilder } from '@shoal/onnx-graph';
import { describe, expect, test } from 'vitest';
import { CapiSession } from './capi-session.ts';
import { libraryPath } from './library.ts';
import { loadOrtApi, type OrtApi, type Pointer } from './ort-api.ts';

const NAMES = ['a', 'b', 'c'];

function threeOutputs(): Uint8Array {
  const g = new GraphBuilder({ name: 'three' });
  const w = g.initializer('w', 'float32', [1], Float32Array.of(2));
  for (const name of NAMES) {
    g.node('Neg', [w], { outputs: [name] });
    g.output(name, 'float32', [1]);
  }
  return g.toBytes();
}

interface Account {
  session: CapiSession;
  /** Values that the API handed out and nobody released. */
  held: () => number;
}

/** A session over an API that fails to read the `failing`-th result, and to use a binding that was freed. */
function accounted(failing: number = Number.NaN): Account {
  const api = loadOrtApi(libraryPath());
  const freed = new Set<Pointer | null>();
  let held = 0;
  let read = 0;
  const createTensorWithData: OrtApi['createTensorWithData'] = Object.assign(
    (...args: Parameters<OrtApi['createTensorWithData']>) => {
      held += 1;
      return api.createTensorWithData(...args);
    },
    { async: api.createTensorWithData.async },
  );
  const getBoundOutputValues: OrtApi['getBoundOutputValues'] = Object.assign(
    (...args: Parameters<OrtApi['getBoundOutputValues']>) => {
      if (freed.has(args[0])) throw new Error('a binding was used after it was freed');
      const status = api.getBoundOutputValues(...args);
      held += Number(args[3][0]);
      return status;
    },
    { async: api.getBoundOutputValues.async },
  );
  const getTensorMutableData: OrtApi['getTensorMutableData'] = Object.assign(
    (...args: Parameters<OrtApi['getTensorMutableData']>) => {
      read += 1;
      if (read === failing) throw new Error('cannot be read');
      return api.getTensorMutableData(...args);
    },
    { async: api.getTensorMutableData.async },
  );
  const releaseValue = (value: Pointer): void => {
    held -= 1;
    api.releaseValue(value);
  };
  const releaseIoBinding = (binding: Pointer): void => {
    freed.add(binding);
    api.releaseIoBinding(binding);
  };
  const createIoBinding: OrtApi['createIoBinding'] = Object.assign(
    (...args: Parameters<OrtApi['createIoBinding']>) => {
      const status = api.createIoBinding(...args);
      // Addresses come again.
      freed.delete(args[1][0]);
      return status;
    },
    { async: api.createIoBinding.async },
  );
  const results = { getBoundOutputValues, getTensorMutableData, createTensorWithData, releaseValue };
  const watched = { ...results, createIoBinding, releaseIoBinding };
  const env = api.make((out) => api.createEnv(4, 'test', out));
  const hostInfo = api.make((out) => api.createMemoryInfo('Cpu', 0, 0, 0, out));
  const session = new CapiSession({ ...api, ...watched }, env, hostInfo, threeOutputs(), { intraOpThreads: 1 });
  return { session, held: () => held };
}

describe('a run that is not blocking', () => {
  test.each(['binding', 'session'] as const)(
    'ends when its %s is disposed meanwhile, and leaves no result',
    async (which) => {
      const { session, held } = accounted();
      const binding = session.createBinding();
      for (const name of NAMES) binding.bindOutput(name);
      const run = binding.run({ blocking: false });
      (which === 'binding' ? binding : session).dispose();
      await run;
      expect(() => binding.output('a')).toThrow(expect.objectContaining({ code: 'disposed' }));
      expect(held()).toBe(0);
      session.dispose();
    },
  );

  test('without a binding, whose session is disposed meanwhile, gives no results and leaves none', async () => {
    const { session, held } = accounted();
    const run = session.run({}, NAMES, { blocking: false });
    session.dispose();
    await expect(run).rejects.toMatchObject({ code: 'disposed' });
    expect(held()).toBe(0);
  });
});

test.each([1, 2, 3])(
  'a result that cannot be read, number %i of three, leaves none of them behind',
  async (failing) => {
    const { session, held } = accounted(failing);
    await expect(session.run({})).rejects.toThrow('cannot be read');
    expect(held()).toBe(0);
    const results = await session.run({});
    expect(NAMES.map((name) => results[name]?.data[0])).toEqual([-2, -2, -2]);
    for (const result of Object.values(results)) result.dispose();
    expect(held()).toBe(0);
    session.dispose();
  },
);
