/** Networks' namespaces: made with a name and an id, and removed. */
import { closeSync, openSync } from 'node:fs';
import { OverlaydError } from '../../core/errors.ts';
import { freeNftables } from '../native/libnftables.ts';
import { addNamespace, deleteNamespace } from '../native/namespace.ts';
import { decodeNsid, getNsid, newNsid } from '../netlink/namespace-id.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { NETNSA_NSID_NOT_ASSIGNED } from '../netlink/uapi/net-namespace.ts';
import { pathOf } from './means.ts';
import { IDS_PER_VNI, namespaceId } from './namespace-ids.ts';

/** Makes it, unless there is one, and gives it an id, unless it has one. Throws as system calls do, `data-path-failed`. */
export function makeNamespace(name: string, vni: number): void {
  const path = pathOf(name)!;
  try {
    addNamespace(path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
  identify(path, vni);
}

function identify(path: string, vni: number): void {
  const fd = openSync(path, 'r');
  const socket = new NetlinkSocket();
  try {
    for (let nth = 0; nth < IDS_PER_VNI; nth++) {
      const [outcome] = socket.request([newNsid(fd, namespaceId(vni, nth))]);
      if (outcome?.ok) return;
      const id = socket.get(getNsid(fd), decodeNsid);
      if (id !== undefined && id !== NETNSA_NSID_NOT_ASSIGNED) return;
      // The id is another one's: of a namespace of this network that something keeps alive.
      if (outcome?.code !== 'EEXIST') throw refused(`giving ${path} an id`, outcome?.text ?? '');
    }
    throw refused(
      `giving ${path} an id`,
      `all ${IDS_PER_VNI} of its network are taken by former ones that processes hold`,
    );
  } finally {
    socket.close();
    closeSync(fd);
  }
}

/** Removes the name, if there is one. The namespace ends when nobody else holds it. Throws as system calls do. */
export function removeNamespace(name: string): void {
  // They have sockets in it.
  freeNftables();
  try {
    deleteNamespace(pathOf(name)!);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function refused(what: string, why: string): OverlaydError {
  return new OverlaydError('data-path-failed', `${what} failed: ${why}`, { retryable: true });
}
