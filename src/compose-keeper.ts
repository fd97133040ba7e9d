/** What this host does as a keeper: for other members, and about etcd's users. */
import type { EtcdStore } from './adapters/etcd/store.ts';
import { createKeeperService } from './agent/cluster/keeper-service.ts';
import type { OwnIdentity } from './agent/cluster/own-identity.ts';
import { accessOf } from './agent/cluster/store-access.ts';
import { createKeeperWork, type KeeperWorkDeps } from './agent/keeper-work.ts';
import type { Member } from './agent/member.ts';
import { UserKeeping, type UserKeepingDeps } from './agent/store/users.ts';
import type { AgentVersion } from './core/levels.ts';
import { Sparing } from './core/sparing.ts';
import type { Pki } from './ports/identity.ts';
import type { KeepersHandler } from './ports/keepers.ts';
import type { Clock, Logger, Random } from './ports/runtime.ts';

export interface KeeperParts {
  readonly store: EtcdStore;
  readonly own: OwnIdentity;
  readonly member: () => Member;
  readonly pki: Pki;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly agent: AgentVersion;
  /** Ends what connections of etcd's these addresses have here. */
  readonly cutOff: UserKeepingDeps['cutOff'];
  readonly storeSide: KeeperWorkDeps['storeSide'];
  readonly storeWork: KeeperWorkDeps['storeWork'];
  readonly onRevoked: UserKeepingDeps['onRevoked'];
  /** Has the CA replaced. */
  readonly rotateCa: () => Promise<void>;
}

export function composeKeeper(
  parts: KeeperParts,
  options: { readonly certificateLifetimeMs: number; readonly quarantineSeconds: number },
): { readonly keeper: KeepersHandler; readonly userKeeping: UserKeeping } {
  const { member, own, store } = parts;
  const commit: Member['commit'] = (compares, changes) => member().commit(compares, changes);
  const userKeeping = new UserKeeping({
    ...{ ...parts, commit },
    selfId: own.current.nodeId,
    users: store.users,
    members: () => store.membership.members(),
    view: () => member().view,
    isFollowed: () => member().storeConnected,
  });
  const refusals = new Sparing({ limit: 10, windowMs: 60_000 });
  const shared = { ...parts, users: userKeeping };
  const keeper = {
    ...createKeeperService({ ...shared, refusals, commit, identity: () => own.current }, options),
    ...createKeeperWork(
      { ...shared, access: () => accessOf(own.current), caCertificate: () => own.current.caCertificate },
      options,
    ),
  };
  return { keeper, userKeeping };
}
