/**
 * `etcdserverpb.Auth`, as our port has it: looks what there is and changes what differs. Several keepers may do so at once:
 * what etcd then refuses is looked at anew.
 */
import type { StorePermission } from '../../core/store-rights.ts';
import { type Permission, Permission_Type } from '../../gen/etcd/auth.ts';
import { AuthService } from '../../gen/etcd/rpc.ts';
import type { StoreUsers } from '../../ports/store.ts';
import type { Method } from './client.ts';
import type { Answer, EtcdConnection } from './connection.ts';
import { encodeKey, encodePrefixEnd } from './request.ts';
import { isPrecondition } from './store-error.ts';

/** Of etcd. It is there or not; what it allows is not ours to say. */
const ROOT = 'root';
const MAX_LOOKS = 3;

export function createUsers(connection: EtcdConnection): StoreUsers {
  const call = <Request, Response extends Answer>(method: Method<Request, Response>, request: Request) =>
    connection.call(method, request, { repeatable: true });
  const users = async () => (await call(AuthService.userList, {})).users;
  const roles = async () => (await call(AuthService.roleList, {})).roles;

  return {
    users,
    roles,

    ensureUser: (name, wanted) =>
      settle(async () => {
        if (!(await users()).includes(name)) {
          await call(AuthService.userAdd, { name, password: '', options: { noPassword: true } });
        }
        const { roles: held } = await call(AuthService.userGet, { name });
        for (const role of held) if (!wanted.includes(role)) await call(AuthService.userRevokeRole, { name, role });
        for (const role of wanted)
          if (!held.includes(role)) await call(AuthService.userGrantRole, { user: name, role });
      }),

    removeUser: (name) =>
      settle(async () => {
        if ((await users()).includes(name)) await call(AuthService.userDelete, { name });
      }),

    ensureRole: (name, permissions) =>
      settle(async () => {
        if (!(await roles()).includes(name)) await call(AuthService.roleAdd, { name });
        if (name === ROOT) return;
        const { perm: held } = await call(AuthService.roleGet, { role: name });
        const wanted = encodePermissions(permissions);
        for (const each of held) {
          if (wanted.some((other) => isSameRange(each, other))) continue;
          await call(AuthService.roleRevokePermission, { role: name, key: each.key, rangeEnd: each.rangeEnd });
        }
        for (const perm of wanted) {
          const same = held.some((each) => isSameRange(each, perm) && each.permType === perm.permType);
          if (!same) await call(AuthService.roleGrantPermission, { name, perm });
        }
      }),

    removeRole: (name) =>
      settle(async () => {
        if ((await roles()).includes(name)) await call(AuthService.roleDelete, { role: name });
      }),

    async enable() {
      await call(AuthService.authEnable, {});
    },

    async disable() {
      await call(AuthService.authDisable, {});
    },
  };
}

async function settle(look: () => Promise<void>): Promise<void> {
  for (let looks = 1; ; looks++) {
    try {
      return await look();
    } catch (error) {
      if (!isPrecondition(error) || looks === MAX_LOOKS) throw error;
    }
  }
}

/** etcd has one permission for one range: who reads and writes has one for both. */
function encodePermissions(permissions: readonly StorePermission[]): Permission[] {
  const ranges = new Map<string, Permission>();
  for (const { may, key, prefix } of permissions) {
    const permType = may === 'read' ? Permission_Type.READ : Permission_Type.WRITE;
    const id = `${prefix === true} ${key}`;
    const known = ranges.get(id);
    if (known) {
      if (known.permType !== permType) known.permType = Permission_Type.READWRITE;
      continue;
    }
    const rangeEnd = prefix === true ? encodePrefixEnd(key) : Buffer.alloc(0);
    ranges.set(id, { permType, key: encodeKey(key), rangeEnd });
  }
  return [...ranges.values()];
}

function isSameRange(a: Permission, b: Permission): boolean {
  return a.key.equals(b.key) && a.rangeEnd.equals(b.rangeEnd);
}
