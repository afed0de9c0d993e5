import type { ExecutionProvider as SessionProvider } from '@shoal/ort';
import type { ExecutionProvider } from '../engine-options.ts';
import type { Machine } from './machine.ts';

export type ProviderName = Exclude<ExecutionProvider, 'auto'>;

/** What the engine knows of an execution provider. Limits that need words are in this package's README. */
export interface ProviderRow {
  readonly name: ProviderName;
  /** `process.platform/process.arch` of the builds of onnxruntime-node that have it, or can be given it. */
  readonly platforms: readonly string[];
  /**
   * Memory that keys and values stay in, by ONNX Runtime's name; undefined where that is the host's, from which a
   * device would have to fetch them at every step.
   */
  readonly cacheMemory: string | undefined;
  /** Whether `auto` may choose it: the machine has an adapter for it that is not software. Absent: never. */
  readonly foundBy?: (machine: Machine) => boolean;
  /** Element type in which its attention is compared with the CPU's: one that it has a kernel for. */
  readonly checkedIn: 'fp32' | 'fp16';
  /** What a session is made with: itself with its options, and who computes what it cannot, the CPU apart. */
  readonly chain: (deviceId: number) => readonly SessionProvider[];
  /** What to do where it cannot be used. */
  readonly remedy: string;
}

const CUDA_REMEDY =
  'it needs linux/x64, an NVIDIA driver, CUDA 12 with cuDNN 9, and the libraries that ' +
  '`node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12` fetches';

const cuda = (deviceId: number): SessionProvider => ({ name: 'cuda', options: { device_id: String(deviceId) } });

/** In the order in which `auto` tries them. */
export const EXECUTION_PROVIDERS: readonly ProviderRow[] = [
  {
    name: 'cuda',
    platforms: ['linux/x64'],
    cacheMemory: 'Cuda',
    checkedIn: 'fp16',
    foundBy: ({ nvidiaDriver }) => nvidiaDriver !== undefined,
    chain: (deviceId) => [cuda(deviceId)],
    remedy: CUDA_REMEDY,
  },
  {
    // Builds an engine for minutes at the first run of every shape: only for those who ask for it.
    name: 'tensorrt',
    platforms: ['linux/x64'],
    cacheMemory: 'Cuda',
    checkedIn: 'fp16',
    chain: (deviceId) => [{ name: 'tensorrt', options: { device_id: String(deviceId) } }, cuda(deviceId)],
    remedy: `${CUDA_REMEDY}; and TensorRT 10`,
  },
  {
    name: 'webgpu',
    platforms: ['linux/x64', 'darwin/arm64', 'win32/x64', 'win32/arm64'],
    cacheMemory: 'WebGPU_Buf',
    checkedIn: 'fp32',
    foundBy: hasGraphicsAdapter,
    chain: () => [{ name: 'webgpu' }],
    remedy: 'it needs a GPU with a driver for Vulkan (Linux: libvulkan1 and the vendor’s), Metal or Direct3D 12',
  },
  {
    name: 'coreml',
    platforms: ['darwin/arm64'],
    cacheMemory: undefined,
    checkedIn: 'fp32',
    chain: () => [{ name: 'coreml' }],
    remedy: 'it needs a Mac with Apple silicon',
  },
  {
    name: 'dml',
    platforms: ['win32/x64', 'win32/arm64'],
    cacheMemory: undefined,
    checkedIn: 'fp32',
    chain: (deviceId) => [{ name: 'dml', options: { device_id: String(deviceId) } }],
    remedy: 'it needs Windows 10 or later with a GPU for Direct3D 12',
  },
  {
    name: 'cpu',
    platforms: ['linux/x64', 'linux/arm64', 'darwin/arm64', 'win32/x64', 'win32/arm64'],
    cacheMemory: undefined,
    checkedIn: 'fp32',
    foundBy: () => true,
    chain: () => [{ name: 'cpu' }],
    remedy: 'onnxruntime-node has no build for this platform',
  },
];

/** @throws Error for a name that the table does not have */
export function providerRow(name: string): ProviderRow {
  const row = EXECUTION_PROVIDERS.find((provider) => provider.name === name);
  if (row === undefined) throw new Error(`there is no execution provider ${name}`);
  return row;
}

/** PCI vendors of graphics processors: NVIDIA, AMD, Intel, Qualcomm. Virtual machines' displays have others. */
const GPU_VENDORS = ['0x10de', '0x1002', '0x8086', '0x5143'];
/** Vulkan drivers that compute on the CPU: Mesa's lavapipe and SwiftShader. */
const SOFTWARE_DRIVER = /lvp|lavapipe|llvmpipe|swiftshader/i;

/**
 * A session does not tell what adapter it took, and takes a software one where it finds no other: so there must be
 * both a graphics processor and a driver that is not software. On Windows nothing is known, hence never.
 */
function hasGraphicsAdapter({ platform, gpus, vulkanDrivers }: Machine): boolean {
  if (platform.startsWith('darwin/')) return true;
  const processor = gpus.some((gpu) => GPU_VENDORS.some((vendor) => gpu.startsWith(vendor)));
  return processor && vulkanDrivers.some((path) => !SOFTWARE_DRIVER.test(path));
}
