/** By which means an op is carried out, and where. */
import { HOST, type Op, type Place } from '../../core/host-state.ts';

/** Of one place, ops of the same means are done in order, in one transaction or batch; of the others' order nothing is said. */
export type Means = 'namespace' | 'sysctl' | 'nftables' | 'rtnetlink' | 'removal' | 'conntrack';

/** The namespace in which an op is done: tunnels are made where their sockets are, straight into their own. */
export function placeOf(op: Op): Place {
  if (op.kind === 'add-vxlan') return op.vxlan.socketAt;
  return op.kind === 'add-namespace' || op.kind === 'delete-namespace' ? HOST : op.at;
}

export function meansOf({ kind }: Op): Means {
  switch (kind) {
    case 'add-namespace':
    case 'delete-namespace':
      return 'namespace';
    case 'set-sysctl':
      return 'sysctl';
    case 'set-filter':
    case 'delete-filter':
    case 'add-elements':
    case 'remove-elements':
      return 'nftables';
    case 'delete-link':
      return 'removal';
    case 'forget-flows':
      return 'conntrack';
    default:
      return 'rtnetlink';
  }
}

/** What opening a namespace says where there is none: no such name, or no namespace at it. */
const NONE = ['ENOENT', 'EINVAL', 'ELOOP', 'ENOTDIR', 'ESRCH'];

/** Whether an error says that there is no namespace at the path that was to be entered. */
export function isNoNamespace(error: unknown): boolean {
  const { code = '', syscall } = error as NodeJS.ErrnoException;
  return (syscall === 'open' || syscall === 'setns') && NONE.includes(code);
}

/** Where namespaces have their names (ip-netns(8)). */
export const NAMES = '/run/netns/';

/** Path of a namespace; undefined: the host's. */
export function pathOf(place: Place): string | undefined {
  if (place === HOST) return undefined;
  return place.startsWith('/') ? place : `${NAMES}${place}`;
}
