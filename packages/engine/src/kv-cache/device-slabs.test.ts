import { DECODER_TINY, decoder } from '@shoal/onnx-graph';
import { loadOrt, type OrtBackend, OrtError, type OrtSession } from '@shoal/ort';
import { describe, expect, it } from 'vitest';
import { readSignature } from '../model-runner/graph-signature.ts';
import { OrtRunner } from '../model-runner/ort-runner.ts';
import { backendWith } from '../testing/backend-with.ts';
import { CacheLost } from './cache-rows.ts';
import { DeviceSlabs, type DeviceSlabsOptions } from './device-slabs.ts';

const MAX_LENGTH = 64;
const NO_MEMORY = () => new OrtError('out_of_memory', 'no memory for this');

/** What makes the cache of a small model, in memory that is treated as a device's. */
async function options(): Promise<DeviceSlabsOptions> {
  const ort = await loadOrt({ backend: 'capi' });
  const sessionOptions = { intraOpThreads: 1 };
  const session = await ort.createSession(decoder({ ...DECODER_TINY, maxLen: MAX_LENGTH }), sessionOptions);
  const signature = readSignature(session.inputs, session.outputs);
  const location = { name: 'Cpu', deviceId: 0 };
  return { ort, session, signature, slots: 3, length: MAX_LENGTH, location, sessionOptions };
}

/** A backend whose sessions are told of before they are handed out. */
function watched(ort: OrtBackend, tell: (session: OrtSession, index: number) => void): OrtBackend {
  let sessions = 0;
  return backendWith(ort, {
    createSession: async (model, sessionOptions) => {
      const session = await ort.createSession(model, sessionOptions);
      tell(session, sessions++);
      return session;
    },
  });
}

describe('a cache on a device', () => {
  it('says that it is lost when a copy fails, once, to the next run; and is good for what comes after', async () => {
    const given = await options();
    let failing = false;
    const ort = watched(given.ort, (session) => {
      const createBinding = session.createBinding.bind(session);
      session.createBinding = () => {
        const binding = createBinding();
        const run = binding.run.bind(binding);
        binding.run = async (runOptions) => {
          if (failing) throw NO_MEMORY();
          await run(runOptions);
        };
        return binding;
      };
    });
    const cache = await DeviceSlabs.create({ ...given, ort });
    const runner = new OrtRunner({ ...given, slots: 3, maxLength: MAX_LENGTH, intraOpThreads: 1, cache });
    const expected = [...(await runner.prefill(0, [[1, 2, 3, 4]])).logits(0)];
    failing = true;
    runner.copySlot(0, 1, 4);
    runner.copySlot(1, 2, 4);
    const failure = runner.decode([5], [4], 0);
    await expect(failure).rejects.toBeInstanceOf(CacheLost);
    await expect(failure).rejects.toThrow('row 0 of the cache could not be copied: no memory for this');
    failing = false;
    expect([...(await runner.prefill(0, [[1, 2, 3, 4]])).logits(0)]).toEqual(expected);
    await runner.close();
  });

  it.each([0, 1, 2])('leaves no session behind where one cannot be made: number %i', async (failing) => {
    const given = await options();
    const open = new Set<OrtSession>();
    const ort = watched(given.ort, (session, index) => {
      if (index === failing) {
        session.dispose();
        throw NO_MEMORY();
      }
      open.add(session);
      const dispose = session.dispose.bind(session);
      session.dispose = () => {
        open.delete(session);
        dispose();
      };
      session[Symbol.dispose] = session.dispose;
    });
    await expect(DeviceSlabs.create({ ...given, ort })).rejects.toThrow('no memory for this');
    expect(open.size).toBe(0);
    given.session.dispose();
  });
});
