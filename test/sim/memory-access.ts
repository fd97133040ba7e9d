/**
 * Users and roles of the etcd in memory, as strict as etcd's: once they are in force, who has no user is refused everything,
 * and everybody what no role of his allows; users and roles are changed by `root` alone.
 */
import { allowsRead, allowsWrite, ROOT, type StorePermission } from '../../src/core/store-rights.ts';
import type { Compare, StoreUsers, Write } from '../../src/ports/store.ts';
import { failed } from './etcd-errors.ts';

export interface Denial {
  readonly user: string;
  /** A key, or a prefix with `*`. */
  readonly key: string;
}

export class MemoryAccess {
  readonly users = new Map<string, Set<string>>();
  readonly roles = new Map<string, readonly StorePermission[]>();
  /** What was refused, in order. */
  readonly denials: Denial[] = [];
  enabled = false;

  checkRead(user: string, key: string, prefix: boolean): void {
    if (key === '') throw failed('key is not provided');
    if (!this.#isRoot(user) && !allowsRead(this.#permissionsOf(user), key, prefix)) this.#deny(user, key, prefix);
  }

  checkTxn(user: string, compares: readonly Compare[], writes: readonly Write[]): void {
    if (this.#isRoot(user)) return;
    for (const each of compares) {
      if (each.kind === 'empty') this.checkRead(user, each.prefix, true);
      else this.checkRead(user, each.key, false);
    }
    const permissions = this.#permissionsOf(user);
    for (const write of writes) {
      if (allowsWrite(permissions, write)) continue;
      if (write.kind === 'delete-prefix') this.#deny(user, write.prefix, true);
      else this.#deny(user, write.key, false);
    }
  }

  /** As of `StoreUsers`, for that user; `call`: over its way to etcd. */
  calls(user: string, call: <T>(run: () => T) => Promise<T>): StoreUsers {
    const asRoot = <T>(run: () => T): Promise<T> =>
      call(() => {
        if (!this.#isRoot(user)) this.#deny(user, 'users', true);
        return run();
      });
    return {
      users: () => asRoot(() => [...this.users.keys()]),
      roles: () => asRoot(() => [...this.roles.keys()]),
      ensureUser: (name, roles) =>
        asRoot(() => {
          const missing = roles.find((role) => role !== ROOT && !this.roles.has(role));
          if (missing !== undefined) throw failed(`role name not found: ${missing}`);
          this.users.set(name, new Set(roles));
        }),
      removeUser: (name) =>
        asRoot(() => {
          if (this.enabled && name === ROOT) throw failed('auth management needs the user root');
          this.users.delete(name);
        }),
      ensureRole: (name, permissions) => asRoot(() => void this.roles.set(name, permissions)),
      removeRole: (name) =>
        asRoot(() => {
          this.roles.delete(name);
          for (const held of this.users.values()) held.delete(name);
        }),
      enable: () =>
        asRoot(() => {
          if (!this.users.get(ROOT)?.has(ROOT)) throw failed('root user does not exist, or has not the role root');
          this.enabled = true;
        }),
      disable: () =>
        asRoot(() => {
          this.enabled = false;
        }),
    };
  }

  #isRoot(user: string): boolean {
    return !this.enabled || this.users.get(user)?.has(ROOT) === true;
  }

  #permissionsOf(user: string): readonly StorePermission[] {
    return [...(this.users.get(user) ?? [])].flatMap((role) => this.roles.get(role) ?? []);
  }

  #deny(user: string, key: string, prefix: boolean): never {
    this.denials.push({ user, key: prefix ? `${key}*` : key });
    throw failed('permission denied');
  }
}
