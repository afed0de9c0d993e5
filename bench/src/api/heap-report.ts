// Loaded into a served process before its own code: tells the bench how much its heap holds, after a full collection.

process.on('message', () => {
  globalThis.gc?.();
  process.send?.(process.memoryUsage().heapUsed);
});
// The bench asks; that alone keeps no process alive.
process.channel?.unref();
