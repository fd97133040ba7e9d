/**
 * The same table (`store-rights.ts`) for an etcd of the user's own: as roles and users of it, and as what to run there. Its users
 * are named by the CN of the certificate that each host has for etcd: the host's name, unless somebody says otherwise. Pure.
 */
import { type NodeRecord, PREFIX } from './records.ts';
import {
  MEMBER_PERMISSIONS,
  MEMBER_ROLE,
  nodePermissions,
  nodeRole,
  READ,
  type StorePermission,
} from './store-rights.ts';

type Node = Pick<NodeRecord, 'id' | 'name'>;

export interface StoreRole {
  readonly name: string;
  readonly permissions: readonly StorePermission[];
}

export interface StoreUser {
  readonly name: string;
  readonly roles: readonly string[];
}

export interface StoreRoles {
  readonly roles: readonly StoreRole[];
  readonly users: readonly StoreUser[];
}

/** Of hosts with the CA's key: all that is the cluster's. In an etcd that others use too nobody of ours is its root. */
export const KEEPER_ROLE = 'overlayd-keeper';

const KEEPER: readonly StorePermission[] = [{ may: 'write', key: READ, prefix: true }];

/** Of a certificate that a host has until it has its own: for as long as hosts join, and no longer. */
export const JOINING_ROLE = 'overlayd-joining';

export const JOINING_ROLES: readonly string[] = [MEMBER_ROLE, JOINING_ROLE];

const JOINING: readonly StorePermission[] = ['nodes/', 'node-names/', 'live/', 'endpoints/'].map((kind) => ({
  may: 'write',
  key: `${PREFIX}${kind}`,
  prefix: true,
}));

/** `keepers`: ids. `userOf`: the CN of that node's certificate. */
export function storeRoles(
  nodes: readonly Node[],
  keepers: readonly string[],
  userOf: (node: Node) => string,
): StoreRoles {
  const ordered = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    roles: [
      { name: MEMBER_ROLE, permissions: MEMBER_PERMISSIONS },
      { name: KEEPER_ROLE, permissions: KEEPER },
      { name: JOINING_ROLE, permissions: JOINING },
      ...ordered.map((node) => ({ name: nodeRole(node.id), permissions: nodePermissions(node) })),
    ],
    users: ordered.map((node) => ({
      name: userOf(node),
      roles: [MEMBER_ROLE, nodeRole(node.id), ...(keepers.includes(node.id) ? [KEEPER_ROLE] : [])],
    })),
  };
}

/** Lines of `etcdctl`: each may be run again, where it then fails because it is so already. */
export function etcdctlLines({ roles, users }: StoreRoles): string[] {
  return [
    ...roles.flatMap(({ name, permissions }) => [
      line('role', 'add', name),
      ...permissions.map(({ may, key, prefix }) =>
        line('role', 'grant-permission', ...(prefix ? ['--prefix=true'] : []), name, may, key),
      ),
    ]),
    ...users.flatMap(({ name, roles: held }) => [
      line('user', 'add', name, '--no-password'),
      ...held.map((role) => line('user', 'grant-role', name, role)),
    ]),
  ];
}

function line(...words: readonly string[]): string {
  return ['etcdctl', ...words.map(quoted)].join(' ');
}

function quoted(word: string): string {
  return /^[A-Za-z0-9@%+=:,./_-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
