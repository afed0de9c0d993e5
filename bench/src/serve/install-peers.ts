import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PYTHON_FOLDER, PYTHON_PEER_FOLDERS, PYTHON_PEERS } from './python-peer.ts';
import { servedModel } from './served-model.ts';

const QUOTED_CHARACTERS = 400;

/** `npm run bench -- peers`: what is installed, or with `--install` what is missing. */
export async function peers(args: readonly string[]): Promise<void> {
  if (args.some((arg) => arg !== '--install')) throw new Error('Usage: npm run bench -- peers [--install]');
  if (args.includes('--install')) for (const folder of PYTHON_PEER_FOLDERS) await install(folder);
  for (const { key, name, absent } of PYTHON_PEERS) {
    console.log(`${key.padEnd(20)} ${name}: ${absent?.(servedModel('tiny')) ?? 'installed'}`);
  }
}

async function install(folder: string): Promise<void> {
  const home = join(PYTHON_FOLDER, folder);
  const environment = join(home, '.venv');
  const refusal = join(home, 'cannot-install.txt');
  if (existsSync(environment)) return;
  rmSync(refusal, { force: true });
  console.log(`installing ${folder} …`);
  const python = process.env.PYTHON ?? 'python3';
  const made = await command(python, ['-m', 'venv', environment]);
  const requirements = ['-m', 'pip', 'install', '--no-input', '-r', join(home, 'requirements.txt')];
  const failed = made ?? (await command(join(environment, 'bin', 'python'), requirements));
  if (failed === undefined) return;
  rmSync(environment, { recursive: true, force: true });
  writeFileSync(refusal, `${failed}\n`);
}

/** The last line that it wrote when it fails. */
async function command(name: string, args: readonly string[]): Promise<string | undefined> {
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let written = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written = (written + text).slice(-QUOTED_CHARACTERS);
  });
  const ended = once(child, 'close').then(([code]) =>
    code === 0 ? undefined : written.trim().split('\n').at(-1) || `code ${code}`,
  );
  return Promise.race([ended, once(child, 'error').then(([error]) => String(error))]);
}
