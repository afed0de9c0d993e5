import { connect } from 'node:net';

/**
 * Whether a Redis at this address answers a PING and is done loading its data. A demand for a password is an answer.
 * @param {number} port
 * @param {string} host
 * @param {number} limitMs
 * @returns {Promise<boolean>}
 */
export function redisAnswers(port, host, limitMs) {
  return new Promise((resolve) => {
    const socket = connect({ port, host });
    const settle = (/** @type {boolean} */ answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(limitMs, () => settle(false));
    socket.once('error', () => settle(false));
    socket.once('connect', () => socket.write('*1\r\n$4\r\nPING\r\n'));
    socket.once('data', (reply) => settle(/^(\+PONG|-NOAUTH|-NOPERM)/.test(reply.toString('latin1'))));
    socket.once('end', () => settle(false));
  });
}
