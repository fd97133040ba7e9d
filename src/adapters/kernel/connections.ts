/** Ends connections that stand: who has no business with this host any more is not to hear another word on them. */
import { FAMILIES } from '../../core/ip.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { decodeConnection, destroyConnection, dumpConnections } from '../netlink/tcp-connection.ts';
import { NETLINK_SOCK_DIAG } from '../netlink/uapi/sock-diag.ts';

export interface Unwelcome {
  /** This host's own ports (TCP). */
  readonly ports: readonly number[];
  /** Of the peers, canonical. */
  readonly addresses: readonly string[];
}

/**
 * Returns how many there were. `namespace`: its path; undefined: where the thread is. Throws `data-path-failed` with the
 * kernel's word where it cannot: `EOPNOTSUPP` without `CONFIG_INET_DIAG_DESTROY`, `ENOENT` without `inet_diag`.
 */
export function endConnections({ ports, addresses }: Unwelcome, namespace?: string): number {
  const socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, namespace });
  try {
    const all = FAMILIES.flatMap((family) => socket.dump(dumpConnections(family), decodeConnection));
    const meant = all.filter(({ localPort, remote }) => ports.includes(localPort) && addresses.includes(remote));
    // One that ended meanwhile is none any more.
    for (const connection of meant) socket.get(destroyConnection(connection), () => undefined, ['ENOENT']);
    return meant.length;
  } finally {
    socket.close();
  }
}
