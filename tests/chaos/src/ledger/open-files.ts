import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Open files of a process by kind, as Linux tells in /proc. */
export type OpenFiles = Readonly<Record<string, number>>;

interface Socket {
  localPort: string;
  remotePort: string;
  listens: boolean;
}

/** A connection that a client opened, and closes when it likes: how many there are says nothing of a leak here. */
export const ACCEPTED = 'connection of a client';

/** Counts what a process has open; throws where the system does not tell, or the process is gone. */
export function openFilesOf(pid: number): OpenFiles {
  const sockets = socketsSeenBy(pid);
  const links = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // Closed since the folder was listed.
    }
  });
  const own = links.map((link) => sockets.get(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? ''));
  const served = new Set(own.flatMap((socket) => (socket?.listens === true ? [socket.localPort] : [])));
  const files: Record<string, number> = {};
  for (const [index, link] of links.entries()) {
    const kind = kindOf(link, own[index], served);
    files[kind] = (files[kind] ?? 0) + 1;
  }
  return files;
}

function kindOf(link: string, socket: Socket | undefined, served: ReadonlySet<string>): string {
  if (socket === undefined) return link.replace(/:?\[.*\]$/, '');
  if (socket.listens) return 'listening socket';
  return served.has(socket.localPort) ? ACCEPTED : `connection to port ${Number.parseInt(socket.remotePort, 16)}`;
}

/** TCP sockets by inode: https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html */
function socketsSeenBy(pid: number): Map<string, Socket> {
  const sockets = new Map<string, Socket>();
  for (const family of ['tcp', 'tcp6']) {
    for (const line of readFileSync(`/proc/${pid}/net/${family}`, 'utf8').trim().split('\n').slice(1)) {
      const [, local = '', remote = '', state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const port = (address: string) => address.split(':')[1] ?? '';
      sockets.set(inode, { localPort: port(local), remotePort: port(remote), listens: state === '0A' });
    }
  }
  return sockets;
}
