import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface FakeSentinel {
  /** A URL that finds the master through it. */
  readonly url: string;
  /** While true it accepts connections and answers nothing, as a process that was stopped. */
  silent: boolean;
  close(): Promise<void>;
}

/** A Sentinel that names the Redis at `masterUrl`, whatever is asked for; a real one names what it reaches itself. */
export async function openFakeSentinel(masterUrl: string): Promise<FakeSentinel> {
  const { hostname, port } = new URL(masterUrl);
  const address = `*2\r\n$${hostname.length}\r\n${hostname}\r\n$${port.length}\r\n${port}\r\n`;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (commands) => {
      if (sentinel.silent) return;
      // A client's commands are few and short: they arrive whole.
      for (const command of String(commands).split(/(?=\*\d+\r\n)/)) socket.write(answerTo(command, address));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sentinel: FakeSentinel = {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}?sentinel=main`,
    silent: false,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return sentinel;
}

function answerTo(command: string, address: string): string {
  if (command.includes('get-master-addr-by-name')) return address;
  // It knows of no others.
  return command.includes('\r\nsentinels\r\n') ? '*0\r\n' : '+OK\r\n';
}
