import koffi from 'koffi';
import type { ValueInfo } from '../backend.ts';
import { elementTypeOf } from '../element-type.ts';
import { OrtError } from '../ort-error.ts';
import type { OrtApi, Pointer } from './ort-api.ts';

/** Names, types and shapes of a session's inputs or outputs. */
export function valueInfos(api: OrtApi, session: Pointer, direction: 'input' | 'output'): ValueInfo[] {
  const [getCount, getName, getTypeInfo] =
    direction === 'input'
      ? [api.sessionGetInputCount, api.sessionGetInputName, api.sessionGetInputTypeInfo]
      : [api.sessionGetOutputCount, api.sessionGetOutputName, api.sessionGetOutputTypeInfo];
  const allocator = api.make((out) => api.getAllocatorWithDefaultOptions(out));
  const count: [number] = [0];
  api.check(getCount(session, count));
  return Array.from({ length: Number(count[0]) }, (_, index) => {
    const nameAddress = api.make((out) => getName(session, index, allocator, out));
    const name = koffi.decode.string(nameAddress);
    api.check(api.allocatorFree(allocator, nameAddress));
    const typeInfo = api.make((out) => getTypeInfo(session, index, out));
    try {
      return { name, ...typeAndShape(api, tensorInfo(api, typeInfo, name)) };
    } finally {
      api.releaseTypeInfo(typeInfo);
    }
  });
}

/** Sequences, maps and optionals have no tensor info. */
function tensorInfo(api: OrtApi, typeInfo: Pointer, name: string): Pointer {
  const out: [Pointer | null] = [null];
  api.check(api.castTypeInfoToTensorInfo(typeInfo, out));
  if (out[0] === null) throw new OrtError('not_implemented', `"${name}" is not a tensor: only tensors are supported`);
  return out[0];
}

export function typeAndShape(api: OrtApi, info: Pointer): Omit<ValueInfo, 'name'> {
  const type: [number] = [0];
  const rank: [number] = [0];
  api.check(api.getTensorElementType(info, type));
  api.check(api.getDimensionsCount(info, rank));
  const count = Number(rank[0]);
  const sizes = new BigInt64Array(count);
  const names: (string | null)[] = new Array<string | null>(count).fill(null);
  if (count > 0) {
    api.check(api.getDimensions(info, sizes, count));
    api.check(api.getSymbolicDimensions(info, names, count));
  }
  const shape = Array.from(sizes, (size, i) => (size < 0n ? (names[i] ?? '') : Number(size)));
  return { type: elementTypeOf(type[0]), shape };
}
