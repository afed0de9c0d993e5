import { ShoalError } from '@shoal/protocol';

/** What a failed write to the cache means for whoever runs this; undefined for another kind of failure. */
export function diskFault(cause: unknown, directory: string, bytes: number): ShoalError | undefined {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(directory, bytes, cause);
  if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM' && code !== 'ENOTDIR') return undefined;
  const message = `${directory}: the cache cannot be written; check its permissions, or set HF_HOME to another folder`;
  return new ShoalError('unavailable', message, { cause });
}

/** @param bytes what is needed */
export function diskFull(directory: string, bytes: number, cause?: unknown): ShoalError {
  const megabytes = Math.ceil(bytes / 1e6);
  const message = `${directory}: the disk is full, ${megabytes} MB are needed; make room, or set HF_HOME to another disk`;
  return new ShoalError('unavailable', message, { cause });
}
