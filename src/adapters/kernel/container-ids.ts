/** Containers' namespaces get an id in the host's, by which the kernel names them in what it tells (see `monitor.ts`). */
import { closeSync, openSync } from 'node:fs';
import { HOST, type Place } from '../../core/host-state.ts';
import { ANY_NSID, decodeNsid, getNsid, newNsid } from '../netlink/namespace-id.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { NETNSA_NSID_NOT_ASSIGNED } from '../netlink/uapi/net-namespace.ts';
import { pathOf } from './means.ts';

/** Gives an id to those that have none. Undefined where that cannot be: whoever looks inside will be told why. */
export function identifyContainers(places: readonly Place[]): (number | undefined)[] {
  const socket = new NetlinkSocket();
  try {
    return places.map((place) => (place === HOST ? undefined : identify(socket, pathOf(place)!)));
  } finally {
    socket.close();
  }
}

function identify(socket: NetlinkSocket, path: string): number | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const question = getNsid(fd);
    const known = socket.get(question, decodeNsid);
    if (known !== NETNSA_NSID_NOT_ASSIGNED) return known;
    socket.request([newNsid(fd, ANY_NSID)]);
    const id = socket.get(question, decodeNsid);
    return id === NETNSA_NSID_NOT_ASSIGNED ? undefined : id;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
