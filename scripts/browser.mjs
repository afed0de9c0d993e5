// A browser for tests that look at pages as a person would.
import { existsSync } from 'node:fs';
import { runCommand } from './system/bounded.mjs';
import { onPath } from './system/on-path.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];
const PLACES = [
  '/usr/lib/chromium/chromium',
  '/opt/google/chrome/chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];
const INSTALL_LIMIT_MS = 5 * 60_000;

/**
 * The path of an installed Chromium or Chrome (CHROME_PATH first). As root on Debian, Debian's is installed when there
 * is none. Otherwise undefined, with one line that says that browser tests are left out.
 * @param {{ log?: (line: string) => void }} [options] Default: to standard error.
 * @returns {Promise<string | undefined>}
 */
export async function findBrowser({ log = (line) => process.stderr.write(`${line}\n`) } = {}) {
  const found = installedBrowser();
  if (found) return found;
  const mayInstall = existsSync('/etc/debian_version') && process.getuid?.() === 0 && onPath('apt-get');
  const problem = mayInstall ? await installChromium(log) : 'no Chromium or Chrome is installed';
  const installed = installedBrowser();
  if (!installed) log(`browser tests are left out: ${problem ?? 'the installed Chromium was not found'}`);
  return installed;
}

/** @returns {string | undefined} */
function installedBrowser() {
  const given = process.env.CHROME_PATH;
  if (given && existsSync(given)) return given;
  return NAMES.map(onPath).find((path) => path !== undefined) ?? PLACES.find((path) => existsSync(path));
}

/** @param {(line: string) => void} log @returns {Promise<string | undefined>} What went wrong. */
async function installChromium(log) {
  log("installing Debian's chromium for the browser tests (once)");
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const patient = ['-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2'];
  const updated = await runCommand('apt-get', [...patient, 'update'], { limitMs: INSTALL_LIMIT_MS, env });
  if (updated.code !== 0) return 'apt-get update failed';
  const install = [...patient, 'install', '--yes', '--no-install-recommends', 'chromium'];
  const { code } = await runCommand('apt-get', install, { limitMs: INSTALL_LIMIT_MS, env });
  return code === 0 ? undefined : 'apt-get install chromium failed';
}
