import { readFile } from 'node:fs/promises';
import { loadOrt, type OrtBackend, OrtError, type OrtSession } from '@shoal/ort';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ExecutionProvider } from '../engine-options.ts';
import { backendWith } from '../testing/backend-with.ts';
import { chooseProvider } from './choose-provider.ts';
import { EXECUTION_PROVIDERS, providerRow } from './execution-providers.ts';
import { type Machine, readMachine } from './machine.ts';

const PLAIN: Machine = { platform: 'linux/x64', gpus: [], nvidiaDriver: undefined, vulkanDrivers: [] };
const NVIDIA: Machine = { ...PLAIN, gpus: ['0x10de:0x2335'], nvidiaDriver: '550.54' };
const RADEON: Machine = {
  ...PLAIN,
  gpus: ['0x1002:0x744c'],
  vulkanDrivers: ['/usr/share/vulkan/icd.d/radeon_icd.json'],
};

let ort: OrtBackend;
beforeAll(async () => {
  ort = await loadOrt();
});

/** A backend on which only these providers can be used; the others fail as the runtime does. */
function having(...names: string[]): OrtBackend {
  return backendWith(ort, {
    // There is no device: its memory is the host's.
    capabilities: { ...ort.capabilities, deviceMemory: false },
    createSession: (model, options) => {
      const asked = options?.executionProviders?.[0]?.name ?? 'cpu';
      return ort.createSession(
        model,
        [...names, 'cpu'].includes(asked) ? {} : { ...options, executionProviders: [{ name: 'nowhere' }] },
      );
    },
  });
}

const choose = async (asked: ExecutionProvider, machine: Machine, backend: OrtBackend = ort): Promise<string> =>
  (await chooseProvider({ asked, machine, ort: backend, deviceId: 0 })).name;

describe('auto', () => {
  it.each<[string, string, Machine, string[]]>([
    ['the CPU where there is nothing else', 'cpu', PLAIN, ['cuda', 'webgpu']],
    [
      'cuda, which computes in half precision, before webgpu',
      'cuda',
      { ...RADEON, ...NVIDIA, vulkanDrivers: RADEON.vulkanDrivers },
      ['cuda', 'webgpu'],
    ],
    ['webgpu where the libraries of cuda are missing', 'webgpu', { ...RADEON, nvidiaDriver: '550.54' }, ['webgpu']],
    ['the CPU where nothing computes', 'cpu', { ...RADEON, nvidiaDriver: '550.54' }, []],
    ['Metal on a Mac', 'webgpu', { ...PLAIN, platform: 'darwin/arm64' }, ['webgpu', 'coreml']],
    [
      'never what takes minutes, nor what is not known to be real',
      'cpu',
      { ...PLAIN, platform: 'win32/x64' },
      ['webgpu', 'dml'],
    ],
    ['nothing that has no build for the platform', 'cpu', { ...NVIDIA, platform: 'linux/arm64' }, ['cuda']],
  ])('takes %s: %s', async (_, expected, machine, usable) => {
    expect(await choose('auto', machine, having(...usable))).toBe(expected);
  });

  it.each<[string, Machine]>([
    [
      'a software driver',
      { ...RADEON, vulkanDrivers: ['/usr/lib/chromium/vk_swiftshader_icd.json', '/x/lvp_icd.x86_64.json'] },
    ],
    ['no driver', { ...RADEON, vulkanDrivers: [] }],
    ['a display of a virtual machine', { ...RADEON, gpus: ['0x1af4:0x1050'] }],
    ['a driver without a GPU', { ...RADEON, gpus: [] }],
  ])('does not take a software adapter: %s', async (_, machine) => {
    expect(await choose('auto', machine, having('webgpu'))).toBe('cpu');
  });

  it('is the CPU here, unless this machine has a GPU', async () => {
    const machine = await readMachine({});
    expect(machine.platform).toBe(`${process.platform}/${process.arch}`);
    if (machine.gpus.length === 0 && process.platform === 'linux') expect(await choose('auto', machine)).toBe('cpu');
  });
});

describe('a provider that is asked for', () => {
  it('is taken on a software adapter too', async () => {
    expect(await choose('webgpu', PLAIN, having('webgpu'))).toBe('webgpu');
  });

  it('is refused where it computes otherwise than the CPU', async () => {
    const wrong: OrtBackend = {
      ...having('webgpu'),
      createSession: async (model, options) => {
        const session = await having('webgpu').createSession(model, options);
        if (options?.executionProviders?.[0]?.name !== 'webgpu') return session;
        const createBinding = session.createBinding.bind(session);
        session.createBinding = () => {
          const binding = createBinding();
          binding.run = async () => {};
          if (session.outputs.some(({ name }) => name === 'logits')) {
            binding.output = () => ort.allocate('float32', [2, 48, 64]);
          }
          return binding;
        };
        return session;
      },
    };
    const fault = /which cannot be used here: it computes a prompt of 48 tokens, row 0 otherwise than the CPU \(off by/;
    await expect(choose('webgpu', PLAIN, wrong)).rejects.toThrow(fault);
    const machine = { ...PLAIN, platform: 'darwin/arm64' };
    expect(await choose('auto', machine, wrong)).toBe('cpu');
  });

  it('is refused where its memory is full, auto takes the next, and no session stays behind', async () => {
    const open = new Set<OrtSession>();
    const plain = having('webgpu');
    const full = backendWith(plain, {
      capabilities: { ...plain.capabilities, deviceMemory: true },
      createSession: async (model, options) => {
        const session = await plain.createSession(model, options);
        const dispose = session.dispose.bind(session);
        open.add(session);
        session.dispose = () => {
          open.delete(session);
          dispose();
        };
        session[Symbol.dispose] = session.dispose;
        session.allocate = () => {
          throw new OrtError('out_of_memory', 'failed to allocate 4096 bytes');
        };
        return session;
      },
    });
    const line =
      /^executionProvider is webgpu, which cannot be used here: failed to allocate 4096 bytes; it needs a GPU/;
    await expect(choose('webgpu', RADEON, full)).rejects.toThrow(line);
    expect(await choose('auto', RADEON, full)).toBe('cpu');
    expect(open.size).toBe(0);
  });

  it.runIf(process.platform === 'linux').each<[ExecutionProvider, RegExp]>([
    [
      'cuda',
      /^executionProvider is cuda, which cannot be used here: .*; it needs linux\/x64, an NVIDIA driver, CUDA 12/,
    ],
    ['tensorrt', /^executionProvider is tensorrt, .*; it needs .*install=cuda12.*; and TensorRT 10$/],
    ['coreml', /no build with it for linux\/x64; it needs a Mac with Apple silicon$/],
    ['dml', /no build with it for linux\/x64; it needs Windows 10/],
  ])('and is not there is one line that says what to install: %s', async (asked, message) => {
    const choice = choose(asked, PLAIN);
    await expect(choice).rejects.toMatchObject({ code: 'invalid_request_error' });
    await expect(choice).rejects.toThrow(message);
    await expect(choice).rejects.toThrow(/^[^\n]*$/);
  });
});

describe('the table', () => {
  it('gives a session what it needs', () => {
    expect(providerRow('cuda').chain(3)).toEqual([{ name: 'cuda', options: { device_id: '3' } }]);
    expect(
      providerRow('tensorrt')
        .chain(1)
        .map(({ name }) => name),
    ).toEqual(['tensorrt', 'cuda']);
    expect(() => providerRow('nowhere')).toThrow('there is no execution provider nowhere');
  });

  it('is the one of the README', async () => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
    const rows = [...readme.matchAll(/^\| `(\w+)` \| ([^|]*) \|/gm)].map(([, name, platforms = '']) => ({
      name,
      platforms: platforms.trim().split(', '),
    }));
    const names = EXECUTION_PROVIDERS.map(({ name }) => name);
    expect(rows.filter(({ name }) => names.some((known) => known === name))).toEqual(
      EXECUTION_PROVIDERS.map(({ name, platforms }) => ({ name, platforms })),
    );
  });
});
