import type { OrtBackend } from './backend.ts';
import { OrtError } from './ort-error.ts';

/**
 * y = x · W + b with x [rows, 2], W = [[1, 2, 3], [4, 5, 6]], b = [10, 20, 30]; 199 bytes, built by `@shoal/onnx-graph`
 * in `self-check.test.ts`.
 */
export const SELF_CHECK_GRAPH: string =
  'CAoSBXNob2FsOrUBCh8KAXgKAXcSAnh3Ggl4dy9NYXRNdWwiBk1hdE11bDoAChgKAnh3CgFiEgF5GgV5L0FkZCIDQWRkOgASCnNlbGYtY2hlY2sq' +
  'IwgCCAMQAUIBd0oYAACAPwAAAEAAAEBAAACAQAAAoEAAAMBAKhUIAxABQgFiSgwAACBBAACgQQAA8EFaFwoBeBISChAIARIMCgYSBHJvd3MKAggC' +
  'YhcKAXkSEgoQCAESDAoGEgRyb3dzCgIIA0IECgAQFQ==';

/**
 * Runs a graph with a known answer on bound tensors, so that a library which loads but computes nonsense (another
 * structure layout, a broken build) is found here and not in a user's answer.
 *
 * @throws OrtError `unavailable`
 */
export async function selfCheck(backend: OrtBackend): Promise<void> {
  const session = await backend.createSession(Buffer.from(SELF_CHECK_GRAPH, 'base64'), { intraOpThreads: 1 });
  const x = backend.allocate('float32', [2, 2]);
  const y = backend.allocate('float32', [2, 3]);
  try {
    x.data.set([1, 1, 2, -1]);
    const binding = session.createBinding();
    binding.bindInput('x', x);
    binding.bindOutput('y', y);
    await binding.run();
    const answer = Array.from(y.data).join();
    if (answer !== '15,27,39,8,19,30') {
      throw new OrtError('unavailable', `ONNX Runtime ${backend.version} failed its self-check: it computed ${answer}`);
    }
  } finally {
    session.dispose();
    x.dispose();
    y.dispose();
  }
}
