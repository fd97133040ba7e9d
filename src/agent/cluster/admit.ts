/**
 * Admission of a new node by any member: the token is judged, the node gets its id from its key, and the token's use,
 * the node and its name are written in one transaction. A joiner that repeats its request (same key) gets the same
 * answer and uses nothing up; options it corrected replace what it said before. Parallel joins conflict on the token only, and then try again.
 */
import { kindOf } from '../../core/cidr.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { parseHostPort } from '../../core/host-port.ts';
import { formatIp, requireIp } from '../../core/ip.ts';
import {
  type AgentVersion,
  IPV6_LEVEL,
  KEEPER_NAMES_LEVEL,
  levelOf,
  refusedLevel,
  requireLevel,
  STORE_LEVEL,
  speaks,
  unreadableRecord,
  unspokenLevel,
} from '../../core/levels.ts';
import { decodeCluster, decodeNode, decodeToken, encodeRecord, nodeWith, readLevel } from '../../core/record-codec.ts';
import { keys, type NodeRecord, PREFIX, SUBNET_GUARD, type TokenRecord } from '../../core/records.ts';
import type { Sparing } from '../../core/sparing.ts';
import { matchesSecret } from '../../core/token.ts';
import type { Pki } from '../../ports/identity.ts';
import type { JoinRequest, JoinResponse } from '../../ports/join.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, Compare } from '../../ports/store.ts';
import { type Change, type Commit, unchanged } from '../view/commit.ts';
import { refuseFormerRecords } from '../view/former-records.ts';
import { isBehindNat, requireTunnel } from './behind-nat.ts';
import { evictNode, type NodeUsers } from './eviction.ts';
import { hasAddressOf, refuseOtherFamily } from './families.ts';
import { type Identity, nodeIdOf, requireCaKey } from './identity.ts';
import { noteGiven } from './issued.ts';
import { checkNameAndLabels, checkPort } from './node-settings.ts';
import { sharedAccessOf } from './store-access.ts';
import { usedBy } from './tokens.ts';

export interface AdmitDeps {
  readonly store: Pick<ClusterStore, 'get' | 'list' | 'grantLease'>;
  readonly commit: Commit;
  readonly users: NodeUsers;
  readonly pki: Pki;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
  readonly identity: () => Identity;
  readonly agent: AgentVersion;
  /** Refusals are said so often: whoever tries tokens does not fill the log. */
  readonly refusals: Sparing;
}

export interface AdmitOptions {
  readonly certificateLifetimeMs: number;
  /** For the endpoints of a node that left, when its name is taken over. */
  readonly quarantineSeconds: number;
}

const MAX_SKEW_MS = 60_000;
const MAX_ATTEMPTS = 100;
const LONGEST_ADDRESS = 64;

/** `from`: where the request came from, for the log. Throws what the joiner is told. */
export async function admit(
  deps: AdmitDeps,
  request: JoinRequest,
  from: string,
  options: AdmitOptions,
): Promise<JoinResponse> {
  const attempt = { from, tokenId: request.tokenId.slice(0, 8), name: request.nodeName.slice(0, 63) };
  try {
    const response = await admitChecked(deps, request, parseHostPort(from)?.host ?? from, options);
    deps.logger.info({ event: 'join-admitted', ...attempt, nodeId: response.nodeId }, 'join admitted');
    return response;
  } catch (thrown) {
    const { code, message } = asOverlaydError(thrown);
    const unsaid = deps.refusals.take(deps.clock.now());
    const more = unsaid ? { refusedBefore: unsaid } : {};
    const refused = { event: 'join-refused', ...attempt, code, reason: message, ...more } as const;
    if (unsaid !== undefined) deps.logger.warn(refused, 'join refused');
    throw thrown;
  }
}

async function admitChecked(
  deps: AdmitDeps,
  request: JoinRequest,
  source: string,
  options: AdmitOptions,
): Promise<JoinResponse> {
  const known = await readToken(deps, request);
  checkClock(request.nowMs, deps.clock.now());
  checkRequest(request);
  const fingerprint = await deps.pki.verifyCsr(request.csr);
  const nodeId = nodeIdOf(fingerprint);
  const nat = isBehindNat(request, source);
  const joiner = { nodeId, fingerprint, token: known, nat, source };
  const { level, nextCaCertificate } = await register(deps, request, joiner, options);
  await deps.users.admit({ id: nodeId, name: request.nodeName });
  const identity = deps.identity();
  const ca = requireCaKey(identity);
  const isNamed = level >= KEEPER_NAMES_LEVEL;
  const certificate = await deps.pki.issue(
    ca,
    // Should it be a keeper, it asks for those names.
    { csr: request.csr, nodeId, address: request.advertiseAddress, keeper: !isNamed },
    { now: deps.clock.now(), lifetimeMs: options.certificateLifetimeMs },
  );
  if (isNamed) await noteGiven(deps, deps.pki.readCertificate(certificate), deps.clock.now());
  return {
    nodeId,
    clusterId: identity.clusterId,
    certificate,
    caCertificate: identity.caCertificate,
    nextCaCertificate: nextCaCertificate ?? '',
    caKey: level < STORE_LEVEL ? ca.key : '',
    store: sharedAccessOf(identity),
    nat,
    seenFrom: source,
  };
}

interface KnownToken {
  readonly record: TokenRecord;
  readonly revision: number;
}

/** The token, if the joiner knows its secret; whether it is still good is asked later. Says the same for any wrong one. */
async function readToken(deps: AdmitDeps, { tokenId, tokenSecret }: JoinRequest): Promise<KnownToken> {
  const entry = /^[0-9a-z]{8}$/.test(tokenId) ? await deps.store.get(keys.token(tokenId)) : undefined;
  const record = entry && decodeToken(entry.value);
  if (entry !== undefined && record !== undefined && matchesSecret(record, tokenSecret, deps.pki.sha256)) {
    return { record, revision: entry.revision };
  }
  await refuseFormerRecords(deps.store);
  throw new OverlaydError('token-invalid', `this cluster does not know the token; ${NEW_TOKEN}`);
}

const NEW_TOKEN = 'make a new one with `overlayd token create` on a member';

function checkUsable({ revokedAt, expiresAt, usesLeft, node }: TokenRecord, nodeName: string, now: number): void {
  if (node !== undefined && node !== nodeName) {
    throw new OverlaydError(
      'token-invalid',
      `the token is for a host named ${node}, and this one is ${nodeName}: give it that name (--name ${node}), or ${NEW_TOKEN}`,
    );
  }
  if (revokedAt !== undefined) {
    throw new OverlaydError('token-invalid', `the token was revoked at ${time(revokedAt)}; ${NEW_TOKEN}`);
  }
  if (expiresAt !== undefined && now >= expiresAt) {
    throw new OverlaydError(
      'token-expired',
      `the token expired at ${time(expiresAt)}, by the clock of this member it is ${time(now)}; ${NEW_TOKEN}`,
    );
  }
  if (usesLeft !== undefined && usesLeft <= 0) {
    throw new OverlaydError('token-used', `the token has been used as often as it may be; ${NEW_TOKEN}`);
  }
}

function checkClock(joiner: number, member: number): void {
  const skewMs = joiner - member;
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return;
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  throw new OverlaydError(
    'clock-skew',
    `this host's clock says ${time(joiner)}, the member's says ${time(member)}: ${seconds} s ${skewMs < 0 ? 'behind' : 'ahead'}; at most 60 s are allowed, set the clocks (NTP) and join again`,
  );
}

function checkRequest(request: JoinRequest): void {
  checkNameAndLabels(request.nodeName, request.labels);
  for (const [address, what] of [
    [request.advertiseAddress, '--advertise-addr'],
    [request.vtep, '--data-path-addr'],
  ] as const) {
    const ip = requireIp(address.slice(0, LONGEST_ADDRESS), what);
    const kind = kindOf(ip);
    const isReached = kind === 'private' || kind === 'other' || (kind === 'link-local' && ip.family === 4);
    if (isReached && formatIp(ip) === address) continue;
    throw new OverlaydError('invalid-address', `${what}: no other host reaches this one at ${formatIp(ip)}`);
  }
  checkPort(request.joinPort, '--join-port');
  checkPort(request.gossipPort, '--gossip-port');
  checkPort(request.dataPathPort, '--data-path-port');
}

interface Joiner {
  readonly nodeId: string;
  readonly fingerprint: string;
  readonly token: KnownToken;
  readonly nat: boolean;
  readonly source: string;
}

/** Returns how the cluster was when the joiner became a member. */
async function register(deps: AdmitDeps, request: JoinRequest, joiner: Joiner, options: AdmitOptions): Promise<Spoken> {
  let { token } = joiner;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const now = deps.clock.now();
    const spoken = await requireSpoken(deps, request);
    const { level, unchanged } = spoken;
    const member = await readMember(deps.store, joiner);
    if (member === undefined) checkUsable(token.record, request.nodeName, now);
    await checkPlace(deps, request, { ...joiner, level }, options);
    const use = { nodeId: joiner.nodeId, name: request.nodeName, from: joiner.source, at: now };
    const used = (record: TokenRecord) => usedBy(record, use, level);
    const node = { ...nodeRecord(request, joiner, member?.record.joinedAt ?? now), ...trustOf(deps, spoken) };
    if (
      await (member
        ? rewrite(deps.commit, node, member, unchanged)
        : write(deps.commit, node, token, unchanged, used(token.record)))
    )
      return spoken;
    token = await readToken(deps, request);
  }
  throw new OverlaydError('conflict', 'too many hosts are joining with this token at once; join again', {
    retryable: true,
  });
}

interface Spoken {
  readonly level: number;
  /** What has to hold still when the joiner becomes a member. */
  readonly unchanged: Compare;
  /** While the CA is replaced. */
  readonly nextCaCertificate: string | undefined;
}

/** While the CA is replaced the joiner is told of both, and the others have to know. */
function trustOf({ identity, pki }: AdmitDeps, { nextCaCertificate }: Spoken): Pick<NodeRecord, 'trusts'> {
  if (nextCaCertificate === undefined) return {};
  return { trusts: [identity().caCertificate, nextCaCertificate].map((certificate) => pki.digest(certificate)) };
}

/** Joiner and member speak the cluster's level. */
async function requireSpoken({ agent, identity, store }: AdmitDeps, request: JoinRequest): Promise<Spoken> {
  const entry = await store.get(keys.cluster);
  const level = levelOf({ level: entry && readLevel(entry.value) });
  if (!speaks(agent.levels, level)) {
    const { message } = unspokenLevel(agent, level);
    throw new OverlaydError(
      'version-mismatch',
      `the member that was asked cannot admit this host, ask another one: ${message}`,
    );
  }
  // Who does not say what it speaks is of a release that had its records elsewhere.
  if (!request.levels || !speaks(request.levels, level)) throw refusedLevel(request, agent, level);
  if (entry && !decodeCluster(entry.value)) {
    throw unreadableRecord(keys.cluster, 'the member that was asked cannot admit this host');
  }
  const cluster = entry && decodeCluster(entry.value);
  if (level >= STORE_LEVEL && cluster && cluster.caCertificate !== identity().caCertificate) {
    throw new OverlaydError('ca-mismatch', `the cluster's CA was replaced since the token was made; ${NEW_TOKEN}`, {
      retryable: true,
    });
  }
  const nextCaCertificate = cluster?.nextCaCertificate;
  return { level, unchanged: unchanged(keys.cluster, entry), nextCaCertificate };
}

interface Member {
  readonly record: NodeRecord;
  readonly revision: number;
}

/** The node, if this very key was admitted before. */
async function readMember(store: AdmitDeps['store'], { nodeId, fingerprint }: Joiner): Promise<Member | undefined> {
  const entry = await store.get(keys.node(nodeId));
  const record = entry && decodeNode(entry.value);
  if (entry === undefined) return;
  if (record === undefined) throw unreadableRecord(entry.key, 'this host cannot be admitted again');
  if (record.keyFingerprint !== fingerprint || record.left) return;
  return { record, revision: entry.revision };
}

/**
 * Name and tunnel address must be free, and the addresses of the members' family; what a node that left still holds is taken
 * from it. Addresses of hosts behind NAT are their own affair.
 */
async function checkPlace(
  deps: AdmitDeps,
  request: JoinRequest,
  { nodeId, level, nat, source }: Omit<Joiner, 'token'> & Pick<Spoken, 'level'>,
  options: AdmitOptions,
): Promise<void> {
  const { entries } = await deps.store.list(`${PREFIX}nodes/`);
  const nodes = entries.flatMap(({ value }) => decodeNode(value) ?? []);
  if (nat) requireTunnel(request, { source, level, nodes });
  else
    refuseOtherFamily(
      request,
      nodes.filter(({ id, left, nat }) => !left && !nat && id !== nodeId),
    );
  if (hasAddressOf(request, 6)) requireLevel(IPV6_LEVEL, level, nodes, 'members with addresses of IPv6');
  const holder = (await deps.store.get(keys.nodeName(request.nodeName)))?.value;
  for (const { key, value } of entries) {
    const other = decodeNode(value);
    if (other === undefined && holder !== undefined && key === keys.node(holder)) {
      throw unreadableRecord(key, `the name ${request.nodeName} is taken by a node; choose another with --name`);
    }
    if (other === undefined || (other.id === nodeId && !other.left)) continue;
    const sameName = other.name === request.nodeName;
    const sameVtep = !nat && !other.nat && other.vtep === request.vtep;
    if (!sameName && !sameVtep && other.id !== nodeId) continue;
    if (other.left) {
      await evictNode(deps, other.id, { by: deps.identity().nodeId, quarantineSeconds: options.quarantineSeconds });
    } else if (sameName) {
      throw new OverlaydError(
        'node-name-taken',
        `the name ${other.name} is taken by node ${other.id.slice(0, 12)} at ${other.advertiseAddress}; choose another with --name, or run \`overlayd node rm ${other.name}\` on a member if that node is gone`,
      );
    } else {
      throw new OverlaydError(
        'conflict',
        `the data path address ${request.vtep} belongs to node ${other.name}; choose another with --data-path-addr, or run \`overlayd node rm ${other.name}\` on a member if that node is gone`,
      );
    }
  }
}

function nodeRecord(request: JoinRequest, { nodeId, fingerprint, nat }: Joiner, now: number): NodeRecord {
  return {
    id: nodeId,
    name: request.nodeName,
    advertiseAddress: request.advertiseAddress,
    gossipPort: request.gossipPort,
    joinPort: request.joinPort,
    vtep: request.vtep,
    dataPathPort: request.dataPathPort,
    keyFingerprint: fingerprint,
    underlayMtu: request.underlayMtu,
    hostRoutes: request.hostRoutes,
    linkRoutes: request.linkRoutes,
    neededAddresses: request.neededAddresses,
    labels: request.labels,
    joinedAt: now,
    left: false,
    ...(request.version !== '' && { version: request.version }),
    ...(request.levels && { levels: request.levels }),
    ...(nat && { nat }),
  };
}

/** False when the token or the cluster's record changed, or the name or id was taken, since they were read. */
async function write(
  commit: Commit,
  node: NodeRecord,
  { record, revision }: KnownToken,
  level: Compare,
  used: TokenRecord,
): Promise<boolean> {
  const tokenKey = keys.token(record.id);
  const compares: Compare[] = [
    level,
    { kind: 'revision', key: tokenKey, revision },
    { kind: 'absent', key: keys.node(node.id) },
    { kind: 'absent', key: keys.nodeName(node.name) },
  ];
  const changes: Change[] = [
    { kind: 'put', key: keys.node(node.id), record: node },
    { kind: 'put', key: keys.nodeName(node.name), record: node.id },
    { kind: 'put', key: SUBNET_GUARD, record: node.id },
  ];
  if (used !== record) changes.push({ kind: 'put', key: tokenKey, record: used });
  return (await commit(compares, changes)) !== undefined;
}

/** False when the record, or the cluster's, changed since it was read, or the name was taken. */
async function rewrite(
  commit: Commit,
  node: NodeRecord,
  { record, revision }: Member,
  level: Compare,
): Promise<boolean> {
  const key = keys.node(node.id);
  const { nat: _, ...kept } = record;
  const next = nodeWith(kept, node);
  if (encodeRecord(next) === encodeRecord(record)) return true;
  const compares: Compare[] = [level, { kind: 'revision', key, revision }];
  const changes: Change[] = [
    { kind: 'put', key, record: next },
    { kind: 'put', key: SUBNET_GUARD, record: node.id },
  ];
  if (node.name !== record.name) {
    compares.push({ kind: 'absent', key: keys.nodeName(node.name) });
    changes.push(
      { kind: 'put', key: keys.nodeName(node.name), record: node.id },
      { kind: 'delete', key: keys.nodeName(record.name) },
    );
  }
  return (await commit(compares, changes)) !== undefined;
}

function time(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : 'nothing sensible';
}
