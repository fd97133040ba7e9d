/**
 * `overlayd join`: asks a member for admission. The key is saved first and makes the node's id, so a join that crashed
 * or timed out can be typed again: it ends as the same node and uses the token once.
 */
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { formatHostPort, parseHostPort } from '../../core/host-port.ts';
import { parseIp } from '../../core/ip.ts';
import { coveredNeeds } from '../../core/ipam/host-holders.ts';
import type { AgentVersion } from '../../core/levels.ts';
import { isEncrypted } from '../../core/network-options.ts';
import { decodeCluster, decodeNetwork, decodeNode } from '../../core/record-codec.ts';
import { keys, type NodeRecord, PREFIX } from '../../core/records.ts';
import { parseToken } from '../../core/token.ts';
import { lacksWireguard } from '../../core/wireguard/offers.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Pki } from '../../ports/identity.ts';
import type { JoinClient, JoinRequest, JoinResponse } from '../../ports/join.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { Wireguard } from '../../ports/wireguard.ts';
import { formerRecords } from '../view/former-records.ts';
import { foundOut } from './behind-nat.ts';
import { requireFreePorts } from './free-ports.ts';
import { type Identity, type IdentityState, loadPending, tlsMaterialOf } from './identity.ts';
import type { ClusterDefaults, ClusterOutcome } from './init.ts';
import { type NodeOptions, type NodeSettings, resolveSettings } from './node-settings.ts';
import { accessOf, bundledHostsOf, type OpenStore } from './store-access.ts';

export interface JoinOptions extends NodeOptions {
  readonly token: string;
  /** `host:port` of any member; the port may be left out. */
  readonly address: string;
  /** Whether this host is behind NAT; undefined: the member finds out. */
  readonly nat?: boolean | undefined;
}

export interface JoinDeps {
  readonly facts: HostFacts;
  readonly pki: Pki;
  readonly clock: Clock;
  readonly file: JsonFile<IdentityState>;
  readonly joinClient: JoinClient;
  readonly openStore: OpenStore;
  readonly wireguard: Pick<Wireguard, 'backend'>;
}

const PROBE_MS = 2_000;
const KNOCK_MS = 500;
/** How many members are tried before the gossip port is reported as closed. */
const PROBED = 3;

export async function joinCluster(
  deps: JoinDeps,
  options: JoinOptions,
  defaults: ClusterDefaults,
  progress: (text: string) => void,
): Promise<ClusterOutcome> {
  const pending = await loadPending(deps.file);
  const token = parseToken(options.token);
  const target = parseTarget(options.address, defaults.joinPort);
  const settings = await resolveSettings(deps.facts, options, defaults, [], parseIp(target.host)?.family);
  await requireFreePorts(deps, settings, { wireguard: options.wireguardPort > 0, etcd: false });

  const key = pending?.key ?? (await deps.pki.createKey());
  if (pending === undefined || pending.founding !== undefined) {
    await deps.file.save({ version: 1, phase: 'pending', key });
  }
  progress(`asking ${formatHostPort(target.host, target.port)} for admission`);
  const response = await deps.joinClient.join(target, token.caDigest, {
    tokenId: token.id,
    tokenSecret: token.secret,
    csr: await deps.pki.createCsr(key),
    nowMs: deps.clock.now(),
    ...defaults.agent,
    ...requestOf(settings),
    nat: options.nat,
    ownAddresses: (await deps.facts.addresses()).map(({ address }) => address),
    wireguardBackend: (await deps.wireguard.backend()) ?? '',
  });
  checkResponse(deps.pki, response, key, token.caDigest);
  const identity = identityOf(response, settings, key);
  await deps.file.save(identity);
  progress('admitted; checking the way to etcd and the members');
  const nat = natWarnings(options, response, settings);
  return { identity, joinCommand: '', warnings: [...nat, ...(await findObstacles(deps, identity, target.host))] };
}

function natWarnings({ nat }: JoinOptions, response: JoinResponse, { advertiseAddress }: NodeSettings): string[] {
  if (response.nat) return nat ? [] : [`${foundOut(response.seenFrom, advertiseAddress)} after \`overlayd leave\``];
  return nat ? ['the member that admitted this host knows nothing of NAT yet, so that others try to call it'] : [];
}

/** As {@link parseHostPort}. Throws `invalid-argument`. */
export function parseTarget(text: string, defaultPort: number): { host: string; port: number } {
  const { host, port = defaultPort } = parseHostPort(text.trim()) ?? {};
  if (host !== undefined) return { host, port };
  throw new OverlaydError(
    'invalid-argument',
    `"${text}" is not the address of a member; write it like 192.0.2.1:2377 or [2001:db8::1]:2377`,
  );
}

type FoundOut = 'nat' | 'ownAddresses' | 'wireguardBackend';

function requestOf(
  settings: NodeSettings,
): Omit<JoinRequest, 'tokenId' | 'tokenSecret' | 'csr' | 'nowMs' | keyof AgentVersion | FoundOut> {
  const { name: nodeName, listenAddress: _, wireguardPort: __, ...rest } = settings;
  return { nodeName, ...rest };
}

/** Throws `internal` when it is not for this key, or of another CA than the token's. */
export function checkResponse(pki: Pki, response: JoinResponse, key: string, caDigest: string): void {
  const certified = pki.readCertificate(response.certificate);
  if (
    pki.digest(response.caCertificate) === caDigest &&
    certified.fingerprint === pki.fingerprint(key) &&
    certified.nodeId === response.nodeId
  ) {
    return;
  }
  throw new OverlaydError('internal', 'the member answered with a certificate that is not for this host; join again');
}

function identityOf(response: JoinResponse, settings: NodeSettings, key: string): Identity {
  const { name, advertiseAddress, listenAddress, joinPort, gossipPort, vtep, dataPathPort, wireguardPort } = settings;
  const { clusterId, nodeId, certificate, caCertificate, nextCaCertificate, caKey, store } = response;
  return {
    version: 1,
    phase: 'member',
    clusterId,
    nodeId,
    name,
    key,
    certificate,
    caCertificate,
    ...(caKey !== '' && { caKey }),
    ...(nextCaCertificate !== '' && { next: { caCertificate: nextCaCertificate } }),
    advertiseAddress,
    listenAddress,
    joinPort,
    gossipPort,
    vtep,
    dataPathPort,
    wireguardPort,
    ...(response.nat && { nat: true }),
    store: { ...store, bundled: false },
  };
}

/** This host is a member by now: what it cannot reach, or will not, is told, and is no reason to fail. */
async function findObstacles(deps: JoinDeps, identity: Identity, dialled: string): Promise<string[]> {
  // Who called a member's join port is let in to its other ports before that member has heard of this host.
  const knock = (host: string, port: number) => deps.joinClient.probe(host, port, KNOCK_MS);
  await Promise.all(bundledHostsOf(identity.store).map((host) => knock(host, identity.joinPort)));
  const { store, close } = deps.openStore(accessOf(identity), tlsMaterialOf(identity));
  try {
    const former = await formerRecords(store);
    if (former !== undefined) return [`this host is a member now, but: ${former}`];
    const { entries } = await store.list(`${PREFIX}nodes/`);
    const others = entries.flatMap(({ value }) => decodeNode(value) ?? []);
    const members = others.filter(({ id, left, nat }) => id !== identity.nodeId && !left && !nat);
    const first = (node: NodeRecord) => (node.advertiseAddress === dialled ? 0 : 1);
    members.sort((a, b) => first(a) - first(b));
    const probed = members.slice(0, PROBED);
    await Promise.all(probed.map((node) => knock(node.advertiseAddress, node.joinPort)));
    return [
      ...(await probeMembers(deps.joinClient, probed)),
      ...(await findObstaclesOfNetworks(deps, store, others, identity)),
    ];
  } catch (error) {
    if (!isOverlaydError(error)) throw error;
    return [`this host is a member now, but: ${error.message}; until etcd is reached nothing can be changed from here`];
  } finally {
    close();
  }
}

/** What it needs and networks cover, and what they need and it lacks. */
async function findObstaclesOfNetworks(
  { wireguard }: Pick<JoinDeps, 'wireguard'>,
  store: ClusterStore,
  nodes: readonly NodeRecord[],
  { name, nodeId }: Pick<Identity, 'name' | 'nodeId'>,
): Promise<string[]> {
  const self = nodes.find(({ id }) => id === nodeId);
  const [{ entries }, cluster] = await Promise.all([store.list(`${PREFIX}networks/`), store.get(keys.cluster)]);
  const networks = entries.flatMap(({ value }) => decodeNetwork(value) ?? []);
  const isUsed = (cluster && decodeCluster(cluster.value)?.encryption) !== undefined || networks.some(isEncrypted);
  const isLacking = isUsed && (await wireguard.backend()) === undefined;
  return [...(self ? coveredNeeds(self, networks) : []), ...(isLacking ? [lacksWireguard([name]).message] : [])];
}

async function probeMembers(client: JoinClient, members: readonly NodeRecord[]): Promise<string[]> {
  const problems = await Promise.all(
    members.map((node) => client.probe(node.advertiseAddress, node.gossipPort, PROBE_MS)),
  );
  if (problems.some((problem) => problem === undefined)) return [];
  return problems.slice(0, 1).map((problem) => `members cannot be reached on their gossip port: ${problem}`);
}
