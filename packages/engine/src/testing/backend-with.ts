import type { OrtBackend } from '@shoal/ort';

/** A backend that does what `ort` does, but for what is given: for failures, and to see what is asked of it. */
export function backendWith(ort: OrtBackend, changes: Partial<OrtBackend>): OrtBackend {
  return {
    kind: ort.kind,
    version: ort.version,
    capabilities: ort.capabilities,
    createSession: (model, options) => ort.createSession(model, options),
    allocate: (type, shape) => ort.allocate(type, shape),
    createRunControl: () => ort.createRunControl(),
    shareWeights: (weights) => ort.shareWeights(weights),
    terminate: (handle) => ort.terminate(handle),
    ...changes,
  };
}
