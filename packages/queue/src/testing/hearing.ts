import { type Connect, type ConnectionRole, connector } from '../connection.ts';
import type { Gate } from './gate.ts';

/** Connections of which those in one role hear the replies to one command when the gate lets them through. */
export function hearing(
  redisUrl: string,
  slow: ConnectionRole,
  command: 'bzpopmin' | 'evalsha',
  replies: Gate,
): Connect {
  return (role, name) => {
    const connection = connector(redisUrl)(role, name);
    if (role !== slow) return connection;
    const send = connection[command].bind(connection) as (...args: unknown[]) => Promise<unknown>;
    const late = async (...args: unknown[]): Promise<unknown> => {
      const reply = await send(...args);
      await replies.opened;
      return reply;
    };
    return Object.assign(connection, { [command]: late });
  };
}
