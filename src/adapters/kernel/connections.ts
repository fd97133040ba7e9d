/**
 * Ends connections that stand: who has no business with this host any more is not to hear another word on them, and who has waited
 * too long for a word is to call anew.
 */
import { FAMILIES } from '../../core/ip.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import {
  decodeConnection,
  destroyConnection,
  dumpConnections,
  type TcpConnection,
  type WantedPorts,
} from '../netlink/tcp-socket.ts';
import { NETLINK_SOCK_DIAG } from '../netlink/uapi/netlink.ts';

export interface Unwelcome {
  /** This host's own ports (TCP). */
  readonly ports: readonly number[];
  /** Of the peers, canonical. */
  readonly addresses: readonly string[];
}

export interface Silent {
  /** Of the peers, that this host called; or its own, that they did (TCP). */
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
  return end(isMeant, { local: 0, remote: 0 }, namespace);
}

/** The same, of connections whose other end does not answer any more. Of one that is being written to what is acknowledged counts. */
export function endSilent({ port, addresses, forMs }: Silent, namespace?: string): number {
  const isMeant = ({ remote, silentMs }: TcpConnection) => silentMs >= forMs && addresses.includes(remote);
  return end(isMeant, { local: 0, remote: port }, namespace) + end(isMeant, { local: port, remote: 0 }, namespace);
}

function end(isMeant: (connection: TcpConnection) => boolean, wanted: WantedPorts, namespace?: string): number {
  const socket = new NetlinkSocket({ protocol: NETLINK_SOCK_DIAG, namespace });
  try {
    const meant = FAMILIES.flatMap((family) => socket.dump(dumpConnections(family, wanted), decodeConnection)).filter(
      isMeant,
    );
    // One that ended meanwhile is none any more.
    for (const connection of meant) socket.get(destroyConnection(connection), () => undefined, ['ENOENT']);
    return meant.length;
  } finally {
    socket.close();
  }
}
