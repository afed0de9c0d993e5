/**
 * ONNX Runtime's Linux builds since 1.30 keep a usage database under the user's cache folder and start a thread for it,
 * unless this variable is set before the library is loaded. A server that handles other people's prompts does not report
 * on its own account; whoever wants it sets `ORT_DISABLE_TELEMETRY=0`.
 *
 * A worker thread's `process.env` is a copy that native code does not see: call this in the main thread too, before the
 * thread that loads the library.
 */
export function disableTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
}
