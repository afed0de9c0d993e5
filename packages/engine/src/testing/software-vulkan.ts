import { existsSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';

/** Where Debian's chromium package puts SwiftShader, a Vulkan adapter that computes on the CPU. */
const CHROMIUM = '/usr/lib/chromium';
const ADAPTER = `${CHROMIUM}/vk_swiftshader_icd.json`;
/** The loader as the system has it, or as Chromium brings it. */
const LOADERS = ['/usr/lib/x86_64-linux-gnu/libvulkan.so.1', `${CHROMIUM}/libvulkan.so.1`];
/** `RTLD_NODELETE` of dlfcn.h on Linux. */
const FOR_EVER = 0x1000;

/**
 * Lets this process find a software adapter, so that the WebGPU provider can be tested without a GPU. Call it before
 * the first session. Returns why that is impossible, or undefined.
 */
export function useSoftwareVulkan(): string | undefined {
  const loader = LOADERS.find(existsSync);
  if (process.platform !== 'linux' || !existsSync(ADAPTER) || loader === undefined) {
    return `there is no software Vulkan adapter: install Debian's chromium (${ADAPTER} is looked for)`;
  }
  process.env.VK_DRIVER_FILES = ADAPTER;
  process.env.XDG_RUNTIME_DIR ??= tmpdir();
  try {
    // The provider opens the loader by its bare name, which finds what is loaded already.
    process.dlopen({ exports: {} }, loader, constants.dlopen.RTLD_NOW | FOR_EVER);
  } catch {
    // It is no module of Node's, which says so after loading it.
  }
  return undefined;
}
