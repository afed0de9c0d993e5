import { createServer } from 'node:net';

/**
 * A port that nobody listens on now: `preferred` where it is free, else one that the system picks.
 * @param {number} [preferred]
 * @param {string} [host]
 * @returns {Promise<number>}
 */
export async function freePort(preferred, host = '127.0.0.1') {
  if (preferred !== undefined) {
    const port = await tryListen(preferred, host);
    if (port !== undefined) return port;
  }
  const port = await tryListen(0, host);
  if (port === undefined) throw new Error(`no free port could be had on ${host}`);
  return port;
}

/**
 * @param {number} port
 * @param {string} host
 * @returns {Promise<number | undefined>}
 */
function tryListen(port, host) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : undefined));
    });
  });
}
