import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BATCH, LENGTH, runsAt, type ServeContestant, type ServedModel } from './contestant.ts';
import { ServerProcess } from './server-process.ts';

export const PYTHON_FOLDER: string = join(import.meta.dirname, '..', '..', 'peers', 'python');
/** Imports of PyTorch and Ray take their time. */
const READY_MS = 120_000;

interface PythonPeer {
  /** Below `bench/peers/python`. */
  readonly folder: string;
  readonly name: string;
  readonly readyPath: string;
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Whether it answers `/runs`. */
  readonly tellsRuns?: boolean;
}

const PEERS: readonly PythonPeer[] = [
  {
    folder: 'onnxruntime-genai',
    name: "ONNX Runtime GenAI's engine behind Starlette",
    readyPath: '/runs',
    tellsRuns: true,
  },
  {
    folder: 'litserve',
    name: 'PyTorch transformers behind LitServe',
    readyPath: '/health',
  },
  {
    folder: 'ray-serve',
    name: 'PyTorch transformers behind Ray Serve',
    readyPath: '/',
  },
  {
    folder: 'bentoml',
    name: 'PyTorch transformers behind BentoML',
    readyPath: '/readyz',
  },
  {
    folder: 'vllm',
    name: 'vLLM on the CPU',
    readyPath: '/health',
    fields: { model: 'bench', temperature: 0, ignore_eos: true, stream: true, stream_options: { include_usage: true } },
  },
];

export const PYTHON_PEERS: readonly ServeContestant[] = PEERS.map((peer) => ({
  key: `f-${peer.folder}`,
  name: peer.name,
  precision: 'fp32',
  family: 'python',
  absent: (model) => absence(peer, model),
  async start({ model, threads }) {
    const folder = join(PYTHON_FOLDER, peer.folder);
    const bin = join(folder, '.venv', 'bin');
    const server = await ServerProcess.start({
      command: join(bin, 'python'),
      args: ['serve.py'],
      cwd: folder,
      env: {
        PATH: `${bin}:${process.env.PATH ?? ''}`,
        MODEL: model.directory,
        INTRA_OP_THREADS: String(threads),
        OMP_NUM_THREADS: String(threads),
        BATCH: String(BATCH),
        LENGTH: String(LENGTH),
        // None of them asks or tells anybody outside.
        HF_HUB_OFFLINE: '1',
        RAY_USAGE_STATS_ENABLED: '0',
        BENTOML_DO_NOT_TRACK: 'True',
        VLLM_NO_USAGE_STATS: '1',
        DO_NOT_TRACK: '1',
      },
      readyPath: peer.readyPath,
      readyMs: READY_MS,
    });
    return {
      url: server.url,
      fields: peer.fields ?? {},
      pids: [server.pid],
      ...(peer.tellsRuns === true && { runs: () => runsAt(server.url) }),
      close: () => server.close(),
    };
  },
}));

/** Peers whose environments can be made, by folder. */
export const PYTHON_PEER_FOLDERS: readonly string[] = PEERS.map(({ folder }) => folder);

/** Why a peer cannot run: an attempt to install it leaves its reason behind. */
function absence({ folder }: PythonPeer, { bench }: ServedModel): string | undefined {
  if (bench === undefined) return 'only generated models are converted for it';
  const home = join(PYTHON_FOLDER, folder);
  if (existsSync(join(home, 'cannot-install.txt')))
    return readFileSync(join(home, 'cannot-install.txt'), 'utf8').trim();
  return existsSync(join(home, '.venv', 'bin', 'python'))
    ? undefined
    : 'not installed: npm run bench -- peers --install';
}

/** Versions of the packages that each installed environment was asked for, by folder and package. */
export function pythonVersions(): Record<string, string> {
  const installed = PEERS.filter(({ folder }) => existsSync(join(PYTHON_FOLDER, folder, '.venv', 'bin', 'python')));
  return Object.fromEntries(
    installed.flatMap(({ folder }) =>
      readFileSync(join(PYTHON_FOLDER, folder, 'requirements.txt'), 'utf8')
        .split('\n')
        .map((line) => line.split('=='))
        .flatMap(([name = '', version]) => (version === undefined ? [] : [[`${name} (Python)`, version]])),
    ),
  );
}
