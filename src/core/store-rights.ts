/**
 * Who may write what in etcd (docs/adr/0024-a-node-writes-what-is-its-own.md): the one table by which etcd's roles are set up, and
 * by which the simulator's etcd refuses. Everything that is in no row is the keepers'. Pure.
 */
import { keys, type NodeRecord, PREFIX } from './records.ts';

/** What a role of etcd allows: of one key, or of all that begin with it. */
export interface StorePermission {
  readonly may: 'read' | 'write';
  readonly key: string;
  readonly prefix?: true;
}

type KeysWritten =
  | { readonly kind: 'put' | 'delete'; readonly key: string }
  | { readonly kind: 'delete-prefix'; readonly prefix: string };

/** What every member reads: older releases' records too, that it may tell of them. */
export const READ = '/overlayd/';

/** Written by whoever claims first; what is another's there readers refuse. */
const SHARED = [
  'networks/',
  'network-names/',
  'network-acks/',
  'vnis/',
  'subnets/',
  'addresses/',
  'macs/',
  'dns/',
  'services/',
  'quarantine/',
  'wireguard/',
] as const;

/** Of etcd, with all rights. */
export const ROOT = 'root';
/** Of all members. */
export const MEMBER_ROLE = 'overlayd-member';

const NODE_ROLE = 'overlayd-node-';

/** Of one node. */
export function nodeRole(nodeId: string): string {
  return `${NODE_ROLE}${nodeId}`;
}

/** Whose the role is; undefined: it is of another kind. */
export function nodeOfRole(role: string): string | undefined {
  return role.startsWith(NODE_ROLE) ? role.slice(NODE_ROLE.length) : undefined;
}

export const MEMBER_PERMISSIONS: readonly StorePermission[] = [
  { may: 'read', key: READ, prefix: true },
  ...SHARED.map((kind): StorePermission => ({ may: 'write', key: `${PREFIX}${kind}`, prefix: true })),
];

/** What is the node's own. */
export function nodePermissions({ id, name }: Pick<NodeRecord, 'id' | 'name'>): readonly StorePermission[] {
  return [
    { may: 'write', key: keys.node(id) },
    { may: 'write', key: keys.nodeName(name) },
    { may: 'write', key: keys.live(id) },
    { may: 'write', key: keys.endpointsOf(id), prefix: true },
  ];
}

/** Whether a node that is no keeper writes that key. */
export function mayWrite(node: Pick<NodeRecord, 'id' | 'name'>, key: string): boolean {
  return allowsWrite([...MEMBER_PERMISSIONS, ...nodePermissions(node)], { kind: 'put', key });
}

/** What has the same rights as that key, or what begins with it: all of a kind, or what is one node's of it. */
export function areaOf(key: string): string {
  const rest = key.startsWith(PREFIX) ? key.slice(PREFIX.length) : key;
  return SHARED.find((kind) => rest.startsWith(kind)) ?? rest.split('/', 2).join('/');
}

/** Of kinds of which each node writes what is its own. */
const OWN = ['nodes', 'node-names', 'live', 'endpoints'];

/** Whether keepers alone write there, as of `areaOf`. */
export function isKeepersArea(area: string): boolean {
  return !SHARED.some((kind) => kind === area) && !OWN.includes(area.split('/', 1)[0]!);
}

/** Whether these permissions are enough for all of a write. */
export function allowsWrite(permissions: readonly StorePermission[], write: KeysWritten): boolean {
  return permissions.some((each) => each.may === 'write' && covers(each, write));
}

export function allowsRead(permissions: readonly StorePermission[], key: string, prefix: boolean): boolean {
  const read: KeysWritten = prefix ? { kind: 'delete-prefix', prefix: key } : { kind: 'delete', key };
  return permissions.some((each) => each.may === 'read' && covers(each, read));
}

function covers({ key, prefix }: StorePermission, write: KeysWritten): boolean {
  if (write.kind === 'delete-prefix') return prefix === true && write.prefix.startsWith(key);
  return prefix === true ? write.key.startsWith(key) : write.key === key;
}
