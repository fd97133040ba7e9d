/** What a member is composed with. */
import type { EtcdStore } from './adapters/etcd/store.ts';
import type { JoinServer } from './adapters/grpc/join-server.ts';
import type { GrpcPeerTransport } from './adapters/grpc/peer.ts';
import { Certification, type CertificationDeps } from './agent/cluster/certification.ts';
import { etcdSettingsOf, type Identity, joinMaterialOf, tlsMaterialOf } from './agent/cluster/identity.ts';
import type { RenewalOptions } from './agent/cluster/renewal.ts';
import type { Member } from './agent/member.ts';
import type { StoreSide } from './agent/store/store-side.ts';
import { storeTarget } from './compose-store.ts';
import { shownCertificate } from './core/ca-rotation.ts';
import { formatHostPort } from './core/host-port.ts';
import { keepersOf, saidOf } from './core/keepers.ts';
import { KEEPER_NAMES_LEVEL, levelOf } from './core/levels.ts';
import { keys } from './core/records.ts';
import type { Pki } from './ports/identity.ts';
import type { Logger } from './ports/runtime.ts';
import type { EtcdServer } from './ports/store.ts';

/** A task of the member failed for good: a bug, or something that only a restart mends. The service manager restarts. */
export async function reportFailure(task: Promise<void>, signal: AbortSignal, logger: Logger): Promise<void> {
  try {
    await task;
  } catch (error) {
    if (signal.aborted) return;
    logger.error({ error }, 'the agent cannot go on and ends; networks stay as they are');
    process.exitCode = 1;
    process.kill(process.pid, 'SIGTERM');
  }
}

/** Before etcd or a peer has told the whole table, and where it cannot be read, the cluster CA's signature has to do. */
export function isMember(member: Member, nodeId: string, fingerprint: string): boolean {
  if (!member.view.isWhole) return true;
  const node = member.view.node(nodeId);
  if (node === undefined && member.view.unreadable.has(keys.node(nodeId))) return true;
  return node !== undefined && !node.left && node.keyFingerprint === fingerprint;
}

/** What a host is told that asks for itself at the join port; undefined: etcd's word of this moment is not known here. */
export function isListed({ storeConnected, view }: Member, nodeId: string): boolean | undefined {
  if (!storeConnected || !view.provesAbsence || view.unreadable.has(keys.node(nodeId))) return undefined;
  return view.node(nodeId)?.left === false;
}

/** Of the keepers: hosts that join are sent there. */
export function joinPortsOf({ view }: Pick<Member, 'view'>): readonly string[] {
  const keepers = keepersOf(view.nodes(), saidOf(view));
  return keepers.map(({ advertiseAddress, joinPort }) => formatHostPort(advertiseAddress, joinPort));
}

/** It has the names by which its etcd is one of the cluster's. */
export function isCertified(pki: Pick<Pki, 'readCertificate'>, identity: Identity, member: Member): boolean {
  if (levelOf(member.view) < KEEPER_NAMES_LEVEL) return true;
  return pki.readCertificate(shownCertificate(identity).certificate).isKeepers;
}

interface CertificationParts
  extends Pick<CertificationDeps, 'own' | 'pki' | 'clock' | 'random' | 'keepers' | 'logger'> {
  readonly member: Member;
  readonly transport: GrpcPeerTransport;
  readonly store: EtcdStore;
  readonly etcd: Pick<EtcdServer, 'ensure'>;
  /** What waits for a certificate. */
  readonly storeSide: Pick<StoreSide, 'look'>;
  /** There once it listens. */
  readonly joining: { readonly server?: JoinServer };
}

/** `taken`: what everything was made with. */
export function composeCertification(
  { member, transport, store, etcd, joining, storeSide, ...parts }: CertificationParts,
  taken: Identity,
  options: RenewalOptions,
): Certification {
  const deps: CertificationDeps = {
    ...parts,
    view: () => member.view,
    liveness: (nodeId) => member.liveness(nodeId),
    take: async (next) => {
      const material = tlsMaterialOf(next);
      transport.replaceMaterial(material);
      joining.server?.replaceMaterial(joinMaterialOf(next));
      const { tls } = storeTarget(next.store, material);
      if (tls) store.setTls(tls);
      if (next.store.bundled) await etcd.ensure(etcdSettingsOf(next));
      storeSide.look();
    },
    onTaken: () => member.noteHostChange(),
    rotation: { ...parts, store, commit: member.commit },
  };
  return new Certification(deps, taken, options);
}
