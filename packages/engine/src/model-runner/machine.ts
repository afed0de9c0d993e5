import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What this machine has besides its processor, as far as files tell. */
export interface Machine {
  /** `process.platform` and `process.arch`: `linux/x64`. */
  platform: string;
  /** Graphics processors: PCI vendor and device, such as `0x10de:0x2335`, or the driver's name of the model. */
  gpus: readonly string[];
  /** The NVIDIA driver's version, where it is loaded. */
  nvidiaDriver: string | undefined;
  /** Manifests of Vulkan drivers that an application would find. */
  vulkanDrivers: readonly string[];
}

/** Reads {@link Machine} from the files of a Linux system; elsewhere its lists are empty. */
export async function readMachine(env: NodeJS.ProcessEnv = process.env): Promise<Machine> {
  return {
    platform: `${process.platform}/${process.arch}`,
    gpus: [...(await nvidiaModels()), ...(await renderDevices())],
    nvidiaDriver: await line('/sys/module/nvidia/version'),
    vulkanDrivers: await vulkanDrivers(env),
  };
}

async function nvidiaModels(): Promise<string[]> {
  const folder = '/proc/driver/nvidia/gpus';
  const models = (await names(folder)).map(async (gpu) => {
    const text = await readFile(join(folder, gpu, 'information'), 'utf8').catch(() => '');
    return /^Model:\s*(.*)$/m.exec(text)?.[1] ?? 'NVIDIA';
  });
  return Promise.all(models);
}

async function renderDevices(): Promise<string[]> {
  const folder = '/sys/class/drm';
  const nodes = (await names(folder)).filter((name) => name.startsWith('renderD'));
  const ids = nodes.map(async (node) => {
    const [vendor, device] = await Promise.all(
      ['vendor', 'device'].map((id) => line(join(folder, node, 'device', id))),
    );
    return vendor === undefined ? [] : [`${vendor}:${device ?? ''}`];
  });
  return (await Promise.all(ids)).flat();
}

/** As the Vulkan loader looks for them (LoaderDriverInterface.md of Vulkan-Loader). */
const DRIVER_FOLDERS = ['/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/usr/share/vulkan/icd.d'];

async function vulkanDrivers(env: NodeJS.ProcessEnv): Promise<string[]> {
  const given = env.VK_DRIVER_FILES ?? env.VK_ICD_FILENAMES;
  if (given !== undefined) return given.split(':').filter((path) => path !== '');
  const found = DRIVER_FOLDERS.map(async (folder) => (await names(folder)).map((name) => join(folder, name)));
  return (await Promise.all(found)).flat().filter((path) => path.endsWith('.json'));
}

async function names(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}

async function line(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  );
}
