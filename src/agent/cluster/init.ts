/**
 * `overlayd init`: makes a cluster with this host as its first node. The keys are saved before etcd is written, and the
 * cluster comes into being by one transaction: a crash before it leaves nothing, a crash after it leaves what the same
 * `init`, typed again, finishes.
 */
import { drawEpoch } from '../../core/epoch.ts';
import { OverlaydError } from '../../core/errors.ts';
import { parsePools } from '../../core/ipam/default-pools.ts';
import { drawUlaPrefix } from '../../core/ipam/ula.ts';
import { type AgentVersion, levelOf, STORE_LEVEL } from '../../core/levels.ts';
import { decodeCluster, decodeNode, nodeWith } from '../../core/record-codec.ts';
import {
  type ClusterRecord,
  FORMER_PREFIX,
  type KeepersRecord,
  keys,
  type NodeRecord,
  PREFIX,
} from '../../core/records.ts';
import type { StoreBackup } from '../../core/store-backup.ts';
import { STORE_SIZES } from '../../core/store-plan.ts';
import { inherited } from '../../core/store-restore.ts';
import { lacksWireguard } from '../../core/wireguard/offers.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Pki } from '../../ports/identity.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ClusterStore, EtcdServer, StoreAccess } from '../../ports/store.ts';
import type { Wireguard } from '../../ports/wireguard.ts';
import { type Change, committingAlone } from '../view/commit.ts';
import { refuseFormerRecords } from '../view/former-records.ts';
import { requireFreePorts } from './free-ports.ts';
import {
  etcdSettingsOf,
  type Identity,
  type IdentityState,
  loadPending,
  nodeIdOf,
  type PendingIdentity,
  tlsMaterialOf,
} from './identity.ts';
import { type DefaultPorts, type NodeOptions, type NodeSettings, resolveSettings } from './node-settings.ts';
import { accessOf, type EtcdOptions, type OpenStore, parseStoreAccess } from './store-access.ts';
import { readBackup, takeOver } from './take-over.ts';
import { createJoinToken, DEFAULT_TOKEN_TTL_MS } from './tokens.ts';

export interface InitOptions extends NodeOptions, EtcdOptions {
  /** CIDRs; empty: {@link DEFAULT_POOLS}. */
  readonly defaultAddrPool: readonly string[];
  /** 0: 24. */
  readonly defaultAddrPoolMaskLength: number;
  /** `default`, `required`, or empty. */
  readonly encrypt: string;
  /** Text of a backup of another cluster, whose networks this one takes over. Empty: none. */
  readonly backup?: string;
  /** How many hosts shall keep the store: 1, 3 or 5; 0: 3. */
  readonly storeMembers: number;
}

export interface InitDeps {
  readonly facts: HostFacts;
  readonly pki: Pki;
  readonly clock: Clock;
  readonly random: Random;
  readonly file: JsonFile<IdentityState>;
  readonly etcd: Pick<EtcdServer, 'ensure' | 'stop'>;
  readonly openStore: OpenStore;
  readonly wireguard: Pick<Wireguard, 'backend'>;
  readonly logger: Logger;
}

export interface ClusterDefaults extends DefaultPorts {
  readonly certificateLifetimeMs: number;
  readonly agent: AgentVersion;
}

export interface ClusterOutcome {
  readonly identity: Identity;
  /** After init only; empty after join. */
  readonly joinCommand: string;
  readonly warnings: readonly string[];
}

type Founding = PendingIdentity & Required<Pick<PendingIdentity, 'founding'>>;

const DEFAULT_STORE_MEMBERS = 3;
const VNI_RANGE = [4096, 0xffffff] as const;

export async function initCluster(
  deps: InitDeps,
  options: InitOptions,
  defaults: ClusterDefaults,
  progress: (text: string) => void,
): Promise<ClusterOutcome> {
  const pending = await loadPending(deps.file);
  const backup = readBackup(deps.pki, options.backup);
  const taken = backup ? inherited(backup.records) : {};
  const pools =
    (options.defaultAddrPool.length === 0 && taken.pools) ||
    parsePools(options.defaultAddrPool, options.defaultAddrPoolMaskLength);
  const external = parseStoreAccess(options);
  const settings = await resolveSettings(deps.facts, options, defaults, external?.endpoints ?? []);
  const encryption = checkEncrypt(options.encrypt) ?? taken.encryption;
  const storeMembers = checkStoreMembers(options.storeMembers || DEFAULT_STORE_MEMBERS, '--store-members');
  if (encryption && (await deps.wireguard.backend()) === undefined) throw lacksWireguard([settings.name]);
  // The one that an attempt before this one left behind has the ports.
  if (pending?.founding && !external) await deps.etcd.stop();
  const wireguard = options.wireguardPort > 0 || encryption !== undefined;
  await requireFreePorts(deps, settings, { wireguard, etcd: external === undefined });

  progress(pending?.founding ? 'resuming an init that did not finish' : 'creating the certificate authority');
  const founding = await found(deps, pending);
  const identity = await createIdentity(deps, founding, settings, external, defaults);
  const cluster: ClusterRecord = {
    id: identity.clusterId,
    caCertificate: identity.caCertificate,
    pools,
    vniRange: taken.vniRange ?? VNI_RANGE,
    ulaPrefix: taken.ulaPrefix ?? drawUlaPrefix(deps.random),
    createdAt: deps.clock.now(),
    level: defaults.agent.levels.to,
    ...(encryption && { encryption }),
    ...(defaults.agent.levels.to >= STORE_LEVEL && { storeMembers, epoch: drawEpoch(deps.random) }),
  };
  try {
    const outcome = external ?? (await startEtcd(deps, identity, progress));
    const reachable = { ...identity, store: { ...outcome, bundled: external === undefined } };
    return await establish(deps, reachable, { cluster, backup }, { ...settings, ...defaults.agent }, progress);
  } catch (error) {
    if (external === undefined) await deps.etcd.stop();
    throw error;
  }
}

async function found(deps: InitDeps, pending: PendingIdentity | undefined): Promise<Founding> {
  if (pending?.founding !== undefined) return { ...pending, founding: pending.founding };
  const clusterId = deps.random.hex(16);
  const ca = await deps.pki.createCa(clusterId, deps.clock.now());
  const founding: Founding = {
    version: 1,
    phase: 'pending',
    key: pending?.key ?? (await deps.pki.createKey()),
    founding: { clusterId, caCertificate: ca.certificate, caKey: ca.key },
  };
  await deps.file.save(founding);
  return founding;
}

async function createIdentity(
  deps: InitDeps,
  { key, founding }: Founding,
  settings: NodeSettings,
  external: StoreAccess | undefined,
  defaults: ClusterDefaults,
): Promise<Identity> {
  const { name, advertiseAddress, listenAddress, joinPort, gossipPort, vtep, dataPathPort, wireguardPort } = settings;
  const nodeId = nodeIdOf(deps.pki.fingerprint(key));
  const certificate = await deps.pki.issue(
    { certificate: founding.caCertificate, key: founding.caKey },
    { csr: await deps.pki.createCsr(key), nodeId, address: advertiseAddress, keeper: true },
    { now: deps.clock.now(), lifetimeMs: defaults.certificateLifetimeMs },
  );
  const store = external ?? { endpoints: [], caCertificate: '', certificate: '', key: '' };
  return {
    version: 1,
    phase: 'member',
    ...founding,
    nodeId,
    name,
    key,
    certificate,
    ...(external === undefined && { revoked: await emptyList(deps, founding) }),
    advertiseAddress,
    listenAddress,
    joinPort,
    gossipPort,
    vtep,
    dataPathPort,
    wireguardPort,
    store: { ...store, bundled: external === undefined },
  };
}

/** etcd is told of the file when it starts, and never again. */
async function emptyList({ pki, clock }: InitDeps, { caCertificate, caKey }: Founding['founding']) {
  const list = await pki.revocationList({ certificate: caCertificate, key: caKey }, [], clock.now());
  return { serials: [], list, signedBy: pki.digest(caCertificate) };
}

async function startEtcd(deps: InitDeps, identity: Identity, progress: (text: string) => void): Promise<StoreAccess> {
  progress('starting etcd on this host');
  const { endpoints } = await deps.etcd.ensure({ ...etcdSettingsOf(identity), begin: 'alone' });
  return { endpoints, caCertificate: '', certificate: '', key: '' };
}

async function establish(
  deps: InitDeps,
  identity: Identity,
  { cluster, backup }: { readonly cluster: ClusterRecord; readonly backup: StoreBackup | undefined },
  settings: NodeSettings & AgentVersion,
  progress: (text: string) => void,
): Promise<ClusterOutcome> {
  const { store, close } = deps.openStore(accessOf(identity), tlsMaterialOf(identity));
  try {
    progress('writing the cluster to etcd');
    const node = nodeRecord(identity, settings, deps.pki.fingerprint(identity.key), cluster.createdAt);
    await createRecords(store, cluster, node, identity.store.bundled);
    const commit = committingAlone(store);
    if (backup) await takeOver(commit, backup);
    const token = await createJoinToken({ ...deps, store, commit }, identity, {
      ttlMs: DEFAULT_TOKEN_TTL_MS,
      uses: 0,
      by: identity.name,
    });
    await deps.file.save(identity);
    return { identity, joinCommand: token.joinCommand, warnings: [] };
  } finally {
    close();
  }
}

async function createRecords(
  store: ClusterStore,
  cluster: ClusterRecord,
  node: NodeRecord,
  bundled: boolean,
): Promise<void> {
  const made = await committingAlone(store)(
    [PREFIX, FORMER_PREFIX].map((prefix) => ({ kind: 'empty', prefix })),
    [
      { kind: 'put', key: keys.cluster, record: cluster },
      { kind: 'put', key: keys.node(node.id), record: node },
      { kind: 'put', key: keys.nodeName(node.name), record: node.id },
      ...(bundled && levelOf(cluster) >= STORE_LEVEL ? [keepersPut([node.id])] : []),
    ],
  );
  if (made) return;
  const entry = await store.get(keys.cluster);
  const held = entry && decodeCluster(entry.value);
  // An earlier attempt of this very init got this far.
  if (held?.id === cluster.id) return replaceNode(store, node);
  if (!entry) await refuseFormerRecords(store);
  throw occupied(held?.id, bundled);
}

/** The options may have changed since the attempt that wrote the cluster. */
async function replaceNode(store: ClusterStore, node: NodeRecord): Promise<void> {
  const [names, held] = await Promise.all([store.list(`${PREFIX}node-names/`), store.get(keys.node(node.id))]);
  const before = held && decodeNode(held.value);
  const stale = names.entries.filter(({ key, value }) => value === node.id && key !== keys.nodeName(node.name));
  await committingAlone(store)(
    [{ kind: 'exists', key: keys.cluster }],
    [
      { kind: 'put', key: keys.node(node.id), record: before ? nodeWith(before, node) : node },
      { kind: 'put', key: keys.nodeName(node.name), record: node.id },
      ...stale.map(({ key }) => ({ kind: 'delete', key }) as const),
    ],
  );
}

function occupied(clusterId: string | undefined, bundled: boolean): OverlaydError {
  const what = clusterId === undefined ? `keys below ${PREFIX}` : `cluster ${clusterId}`;
  return new OverlaydError(
    'conflict',
    bundled
      ? `the data directory of this host's etcd holds ${what} already, whose identity this node no longer has; restore identity.json beside it from a backup to go on with that cluster, or move both aside to begin another one`
      : `etcd holds ${what} already: join it (\`overlayd token create\` on a member prints how), or use another etcd`,
  );
}

function nodeRecord(
  identity: Identity,
  settings: NodeSettings & AgentVersion,
  keyFingerprint: string,
  joinedAt: number,
): NodeRecord {
  const { listenAddress: _, wireguardPort: __, ...published } = settings;
  const { bundled } = identity.store;
  return {
    ...{ id: identity.nodeId, ...published, keyFingerprint, joinedAt, left: false },
    ...(bundled && { holdsStore: true }),
  };
}

/** An even number is no better than the odd one below: the loss of half of them stops the store. */
export function checkStoreMembers(count: number, what: string): number {
  if (STORE_SIZES.includes(count)) return count;
  throw new OverlaydError('invalid-argument', `${what}: ${count} is none of ${STORE_SIZES.join(', ')}`);
}

function keepersPut(nodeIds: readonly string[]): Change {
  return { kind: 'put', key: keys.storeKeepers, record: { nodeIds } satisfies KeepersRecord };
}

function checkEncrypt(encrypt: string): ClusterRecord['encryption'] {
  if (encrypt === '' || encrypt === 'default' || encrypt === 'required') return encrypt || undefined;
  throw new OverlaydError('invalid-argument', `--encrypt: ${JSON.stringify(encrypt)} is neither default nor required`);
}
