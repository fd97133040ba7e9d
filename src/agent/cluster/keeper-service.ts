/**
 * What a keeper does for members (docs/adr/0024-a-node-writes-what-is-its-own.md). Whoever asks is a member, which its certificate has
 * proved; whether it may have what it asks for is decided here, by etcd's word of this moment.
 */
import { OverlaydError } from '../../core/errors.ts';
import { requireIp } from '../../core/ip.ts';
import { isKeeper } from '../../core/keepers.ts';
import { KEEPER_NAMES_LEVEL, levelOf } from '../../core/levels.ts';
import { decodeCluster, decodeKeepers, decodeNode, decodeStoreChange } from '../../core/record-codec.ts';
import { type ClusterRecord, keys, type NodeRecord, PREFIX } from '../../core/records.ts';
import type { CaKey, KeepersHandler } from '../../ports/keepers.ts';
import { type AdmitDeps, type AdmitOptions, admit } from './admit.ts';
import { progressOf } from './ca-rotation.ts';
import { type Identity, lacksKey, requireCaKey } from './identity.ts';
import { noteGiven } from './issued.ts';
import { signingKeyOf } from './renewal.ts';

export interface KeeperServiceDeps extends AdmitDeps {
  /** Has the CA replaced. */
  readonly rotateCa: () => Promise<void>;
}

export function createKeeperService(
  deps: KeeperServiceDeps,
  options: AdmitOptions,
): Pick<KeepersHandler, 'admit' | 'renew' | 'caKeys' | 'rotateCa'> {
  const { clock, identity, logger, pki, rotateCa, store } = deps;
  return {
    admit: ({ request, from }) => {
      requireCaKey(identity());
      return admit(deps, request, from, options);
    },

    renew: async ({ csr, address, keeper }, caller) => {
      const nodes = await readNodes(store);
      const cluster = await readCluster(store);
      const ca = signingKey(deps, cluster, nodes);
      const node = nodes.find(({ id, left }) => id === caller && !left);
      if (node === undefined) throw notMember(caller);
      if ((await pki.verifyCsr(csr)) !== node.keyFingerprint) {
        throw new OverlaydError(
          'peer-refused',
          `node ${node.name} asks for a certificate for another key than its own`,
        );
      }
      requireOwnAddress(address, node, nodes);
      const isNamed = levelOf(cluster) >= KEEPER_NAMES_LEVEL;
      if (isNamed && keeper && !(await mayKeep(store, caller))) {
        throw new OverlaydError('peer-refused', `node ${node.name} is no keeper: it gets no certificate of one`);
      }
      const { certificateLifetimeMs: lifetimeMs } = options;
      const asked = { csr, nodeId: caller, address, keeper: keeper || !isNamed };
      const certificate = await pki.issue(ca, asked, { now: clock.now(), lifetimeMs });
      if (isNamed) await noteGiven(deps, pki.readCertificate(certificate), clock.now());
      logger.info({ event: 'certificate-issued', node: node.name, nodeId: caller }, 'certificate issued to a member');
      return { certificate, caCertificate: ca.certificate };
    },

    caKeys: async ({ wanted }, caller) => {
      const keysHere = caKeysOf(identity()).filter(({ certificate }) => wanted.includes(certificate));
      if (keysHere.length < wanted.length) throw lacksKey(identity());
      if (!(await mayKeep(store, caller))) {
        throw new OverlaydError('peer-refused', `node ${caller} is no keeper: it does not get the CA's key`);
      }
      logger.info({ event: 'ca-key-given', nodeId: caller }, "the CA's key was given to a keeper");
      return { keys: keysHere };
    },

    rotateCa: async (_, caller) => {
      const nodes = await readNodes(store);
      if (!nodes.some(({ id, left }) => id === caller && !left)) throw notMember(caller);
      logger.info({ event: 'ca-rotation', nodeId: caller }, 'a member asks for another CA');
      await rotateCa();
      return {};
    },
  };
}

/** That of the next CA, as soon as all members trust it. */
function signingKey(
  { identity, pki }: Pick<AdmitDeps, 'identity' | 'pki'>,
  cluster: ClusterRecord | undefined,
  nodes: readonly NodeRecord[],
): CaKey {
  const own = identity();
  if (cluster?.nextCaCertificate === undefined) return requireCaKey(own);
  const ca = signingKeyOf(own, progressOf(pki, cluster, nodes).phase);
  // What this keeper has may be behind etcd.
  if (ca && own.next?.caCertificate === cluster.nextCaCertificate) return ca;
  throw lacksKey(own);
}

function caKeysOf({ caCertificate, caKey, next }: Identity): readonly CaKey[] {
  const both = [
    { certificate: caCertificate, key: caKey },
    { certificate: next?.caCertificate, key: next?.caKey },
  ];
  return both.flatMap(({ certificate, key }) => (certificate && key ? [{ certificate, key }] : []));
}

async function readCluster(store: AdmitDeps['store']): Promise<ClusterRecord | undefined> {
  const entry = await store.get(keys.cluster);
  return entry && decodeCluster(entry.value);
}

async function readNodes(store: Pick<AdmitDeps['store'], 'list'>): Promise<NodeRecord[]> {
  const { entries } = await store.list(`${PREFIX}nodes/`);
  return entries.flatMap(({ value }) => decodeNode(value) ?? []);
}

/**
 * It keeps the store, has a copy of it, or is about to, as the record says that keepers write. Where there is none and nobody keeps
 * the store, etcd is the user's own: then those that were admitted first, as the claims of their names say, which a node can
 * make again later and not sooner. Claims that a restore or a move wrote at one go say nothing; then it is as members take it. Else what
 * a node says of itself does not count.
 */
export async function mayKeep(store: Pick<AdmitDeps['store'], 'get' | 'list'>, nodeId: string): Promise<boolean> {
  const singles = [keys.cluster, keys.storeKeepers, keys.storeChange].map((key) => store.get(key));
  const [cluster, said, change] = await Promise.all(singles);
  const nodes = await readNodes(store);
  if (!nodes.some(({ id, left }) => id === nodeId && !left)) return false;
  const record = said && decodeKeepers(said.value);
  if (record) {
    const planned = change && decodeStoreChange(change.value);
    const isPlanned = planned?.kind === 'add' && planned.nodeId === nodeId;
    return isPlanned || [...record.nodeIds, ...(record.learners ?? [])].includes(nodeId);
  }
  if (nodes.some(({ holdsStore }) => holdsStore)) return false;
  const { entries } = await store.list(`${PREFIX}node-names/`);
  const claimedAt = new Map(entries.map(({ value, revision }) => [value, revision]));
  const rank = ({ id }: NodeRecord) => claimedAt.get(id) ?? Number.MAX_SAFE_INTEGER;
  const ranked = nodes.sort((a, b) => rank(a) - rank(b) || a.joinedAt - b.joinedAt || (a.id < b.id ? -1 : 1));
  const inOrder = ranked.map((node, joinedAt) => ({ ...node, joinedAt }));
  return isKeeper(nodeId, inOrder, { keepers: undefined, cluster: cluster && decodeCluster(cluster.value) });
}

/** What stands in a certificate is an address that no other member goes by. */
function requireOwnAddress(address: string, node: NodeRecord, nodes: readonly NodeRecord[]): void {
  requireIp(address, 'the address of a certificate');
  const other = nodes.find(
    ({ id, left, nat, advertiseAddress, vtep }) =>
      id !== node.id && !left && !nat && (advertiseAddress === address || vtep === address),
  );
  if (other === undefined || node.nat) return;
  throw new OverlaydError('conflict', `the address ${address} of node ${node.name} is ${other.name}'s`);
}

function notMember(nodeId: string): OverlaydError {
  return new OverlaydError('peer-refused', `node ${nodeId} is not a member of the cluster (any more)`);
}
