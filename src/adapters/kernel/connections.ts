/**
 * Ends connections that stand: who has no business with this host any more is not to hear another word on them, and who has waited
 * too long for a word is to call anew.
 */
import { FAMILIES } from '../../core/ip.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { decodeConnection, destroyConnection, dumpConnections, type TcpConnection } from '../netlink/tcp-connection.ts';
import { NETLINK_SOCK_DIAG } from '../netlink/uapi/sock-diag.ts';

export interface Unwelcome {
  /** This host's own ports (TCP). */
  readonly ports: readonly number[];
  /** Of the peers, canonical. */
  readonly addresses: readonly string[];
}

export interface Silent {
  /** That this host called, of the peers (TCP). */
  readonly port: number;
  /** Of the peers, canonical. */
  readonly addresses: readonly string[];
  /** Since when nothing has come from there, at least. */
  readonly forMs: number;
}

/**
 * Returns how many there were. `namespace`: its path; undefined: where the thread is. Throws `data-path-failed` with the
 * kernel's word where it cannot: `EOPNOTSUPP` without `CONFIG_INET_DIAG_DESTROY`, `ENOENT` without `inet_diag`.
 */
export function endConnections({ ports, addresses }: Unwelcome, namespace?: string): number {
  const isMeant = ({ localPort, remote }: TcpConnection) => ports.includes(localPort) && addresses.includes(remote);
  return end(isMeant, namespace);
}

/** The same, of connections whose other end does not answer any more. Of one that is being written to what is acknowledged counts. */
export function endSilent({ port, addresses, forMs }: Silent, namespace?: string): number {
  const isMeant = ({ remotePort, remote, silentMs }: TcpConnection) =>
    remotePort === port && silentMs >= forMs && addresses.includes(remote);
  return end(isMeant, namespace, port);
}

function end(isMeant: (connection: TcpConnection) => boolean, namespace?: string, remotePort?: number): number {
  const socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, namespace });
  try {
    const meant = FAMILIES.flatMap((family) =>
      socket.dump(dumpConnections(family, remotePort), decodeConnection),
    ).filter(isMeant);
    // One that ended meanwhile is none any more.
    for (const connection of meant) socket.get(destroyConnection(connection), () => undefined, ['ENOENT']);
    return meant.length;
  } finally {
    socket.close();
  }
}
