/** Encrypted networks: which ones are, and what hosts have to have for them. */
import { type ClusterView, unknownMembers } from '../../core/cluster-view.ts';
import { OverlaydError } from '../../core/errors.ts';
import { ENCRYPTION_LEVEL, unreadableRecord } from '../../core/levels.ts';
import { isEncrypted, withEncryption } from '../../core/network-options.ts';
import type { NetworkRequest } from '../../core/network-request.ts';
import { keys, type NetworkRecord, PREFIX } from '../../core/records.ts';
import { backendOf, refuseUnreachable } from '../../core/underlay.ts';
import { lacksWireguard, withoutOffer } from '../../core/wireguard/offers.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { ClusterState } from '../view/cluster-state.ts';
import { requireSpoken } from './network-subnets.ts';

interface EncryptionDeps {
  readonly store: ClusterStore;
  readonly state: ClusterState;
}

/** Whether this host has what encrypted networks need; where it had not, it is looked for anew. */
export type CanEncrypt = () => Promise<boolean>;

const NODES = `${PREFIX}nodes/`;
/** A member that joined so lately may not have looked yet. */
const NEW_MS = 60_000;
/** It is waited for so long. */
const NEW_AWAITED_MS = 5_000;
const LOOK_MS = 50;

/** As asked, with what the cluster says. Throws `invalid-argument`, `version-mismatch`. */
export async function asClusterSays(
  { state, store }: EncryptionDeps,
  request: NetworkRequest,
): Promise<NetworkRequest> {
  const { view } = state;
  if (view.cluster() === undefined) await state.read(store, keys.cluster);
  const cluster = view.cluster();
  // It may say that nothing goes in clear.
  if (!cluster && view.unreadable.has(keys.cluster)) {
    throw unreadableRecord(keys.cluster, 'no network can be created here');
  }
  return { ...request, options: withEncryption(request.options, cluster?.encryption) };
}

interface RequireDeps extends EncryptionDeps {
  readonly canEncrypt: CanEncrypt;
  readonly clock: Clock;
}

/** Every member can take part. Throws `tool-missing`, `version-mismatch`, `conflict`. */
export async function requireEncryption(
  { state, store, canEncrypt, clock }: RequireDeps,
  selfId: string,
): Promise<void> {
  await requireSpoken({ state, store }, ENCRYPTION_LEVEL, 'encrypted networks');
  const { view } = state;
  if (withoutOffer(view.nodes()).some(({ id }) => id === selfId)) await canEncrypt();
  // What a member has it says a moment after it has joined.
  const isAwaited = () => withoutOffer(view.nodes()).some(({ joinedAt }) => joinedAt > clock.now() - NEW_MS);
  const end = clock.elapsed() + NEW_AWAITED_MS;
  while (isAwaited() && clock.elapsed() < end) await clock.sleep(LOOK_MS);
  if (withoutOffer(view.nodes()).length > 0) await state.read(store, NODES);
  const [unknown] = unknownMembers(view);
  if (unknown) throw unreadableRecord(keys.node(unknown), 'encrypted networks need to know what every member has');
  const names = withoutOffer(view.nodes()).map(({ name }) => name);
  if (names.length > 0) throw lacksWireguard(names.sort());
}

/** Containers of this host may be connected to the network, and can. Throws `not-attachable`, `tool-missing`, `invalid-argument`. */
export async function requireAttachable(
  view: Pick<ClusterView, 'node'>,
  network: NetworkRecord,
  { selfId, canEncrypt }: { readonly selfId: string; readonly canEncrypt: CanEncrypt },
): Promise<void> {
  if (!network.attachable) {
    throw new OverlaydError(
      'not-attachable',
      `network ${network.name} not manually attachable; it was created with --attachable=false`,
    );
  }
  const self = view.node(selfId);
  // What it offers is not known to a host that was started anew, before it has heard etcd or a peer.
  if (isEncrypted(network) && !self?.wireguard && !(await canEncrypt())) throw lacksWireguard([self?.name ?? selfId]);
  if (self) refuseUnreachable(backendOf({ encrypted: isEncrypted(network) }), self, network.name);
}
