/**
 * What a member keeps in `identity.json` (mode 0600): who it is, its keys, how to reach etcd. Everything else is in
 * etcd. The file is written before the cluster is told anything, so that whatever crashes can be repeated.
 */
import { type NextCa, shownCertificate, trustedCas } from '../../core/ca-rotation.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { NodeRecord } from '../../core/records.ts';
import { WIREGUARD_PORT } from '../../core/wireguard/offers.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { TlsMaterial } from '../../ports/identity.ts';
import type { CaKey } from '../../ports/keepers.ts';
import type { EtcdServerSettings, StoreAccess } from '../../ports/store.ts';

export interface Identity {
  readonly version: 1;
  readonly phase: 'member';
  readonly clusterId: string;
  readonly nodeId: string;
  readonly name: string;
  readonly advertiseAddress: string;
  /** Address that the join and gossip servers bind to. */
  readonly listenAddress: string;
  /** Which link has which of these addresses, when they were last seen. */
  readonly addressLinks?: Readonly<Record<string, string>>;
  readonly joinPort: number;
  readonly gossipPort: number;
  readonly vtep: string;
  readonly dataPathPort: number;
  /** UDP; the next one is WireGuard's too. Absent in files of before there was encryption: {@link wireguardPortOf}. */
  readonly wireguardPort?: number;
  /** Behind NAT: others cannot call this host. Files of before there was that lack it. */
  readonly nat?: true;
  readonly key: string;
  readonly certificate: string;
  readonly caCertificate: string;
  /** With keepers alone (docs/adr/0024-a-node-writes-what-is-its-own.md); below level 4 with every member. */
  readonly caKey?: string;
  /** While the CA is replaced. */
  readonly next?: NextCa;
  /** With keepers of the bundled etcd: what it refuses. Files of before there was that lack it. */
  readonly revoked?: RevokedCertificates;
  /** `bundled`: this node runs the cluster's etcd. */
  readonly store: StoreAccess & {
    readonly bundled: boolean;
    /** Of an etcd of the user's, where this host has a certificate of its own for it: what others are told instead. */
    readonly shared?: Pick<StoreAccess, 'certificate' | 'key'>;
  };
}

export interface RevokedCertificates {
  /** In order. */
  readonly serials: readonly string[];
  /** Of these: signed, PEM. */
  readonly list: string;
  /** SHA-256 (hex) of the CA's certificate. */
  readonly signedBy: string;
}

/** Before membership is certain: the key makes a repeated `join` the same node, `founding` a repeated `init` the same cluster. */
export interface PendingIdentity {
  readonly version: 1;
  readonly phase: 'pending';
  readonly key: string;
  readonly founding?: { readonly clusterId: string; readonly caCertificate: string; readonly caKey: string };
}

export type IdentityState = Identity | PendingIdentity;

/** A node is known by its key: 32 hex characters of the fingerprint. */
export function nodeIdOf(fingerprint: string): string {
  return fingerprint.slice(0, 32);
}

export function wireguardPortOf({ wireguardPort = WIREGUARD_PORT }: Pick<Identity, 'wireguardPort'>): number {
  return wireguardPort;
}

/** What it shows and whom it trusts now. */
export function tlsMaterialOf(identity: Identity): TlsMaterial {
  const { certificate } = shownCertificate(identity);
  return { certificate, key: identity.key, caCertificate: trustedCas(identity) };
}

/** What it shows to hosts that join: tokens pin the CA in use until the next one has taken its place. */
export function joinMaterialOf({ certificate, key, caCertificate }: Identity): TlsMaterial {
  return { certificate, key, caCertificate };
}

/** Of the etcd that this node runs. */
export function etcdSettingsOf(identity: Identity): EtcdServerSettings {
  const { nodeId: name, advertiseAddress, listenAddress, revoked } = identity;
  const material = tlsMaterialOf(identity);
  return { name, advertiseAddress, listenAddress, material, ...(revoked && { revocationList: revoked.list }) };
}

/** Throws `keeper-unreachable` (retryable) where the key is not here: another keeper may have it. */
export function requireCaKey(identity: Identity): CaKey {
  const { caCertificate, caKey } = identity;
  if (caKey !== undefined) return { certificate: caCertificate, key: caKey };
  throw lacksKey(identity);
}

export function lacksKey({ name }: Identity): OverlaydError {
  return new OverlaydError('keeper-unreachable', `node ${name} does not have the CA's key`, { retryable: true });
}

/** This node as its own file has it; the rest is found out. */
export function recordOf(identity: Identity, keyFingerprint: string): NodeRecord {
  return {
    id: identity.nodeId,
    name: identity.name,
    advertiseAddress: identity.advertiseAddress,
    gossipPort: identity.gossipPort,
    joinPort: identity.joinPort,
    vtep: identity.vtep,
    dataPathPort: identity.dataPathPort,
    keyFingerprint,
    underlayMtu: 1_500,
    hostRoutes: [],
    labels: {},
    joinedAt: 0,
    left: false,
    ...(identity.store.bundled && { holdsStore: true }),
    ...(identity.nat && { nat: true }),
  };
}

/** What `init` or `join` left behind when it did not finish. Throws `already-member` when the node is one. */
export async function loadPending(file: JsonFile<IdentityState>): Promise<PendingIdentity | undefined> {
  const state = await file.load();
  if (state?.phase === 'member') {
    throw new OverlaydError(
      'already-member',
      `this host is node ${state.name} of cluster ${state.clusterId} already; \`overlayd leave\` comes first`,
    );
  }
  return state;
}

export function notJoined(): OverlaydError {
  return new OverlaydError(
    'not-joined',
    'this host is not a member of a cluster; make one with `overlayd init`, or join one with `overlayd join --token TOKEN HOST:2377`',
  );
}

const MEMBER_TEXTS = [
  'clusterId',
  'nodeId',
  'name',
  'advertiseAddress',
  'listenAddress',
  'vtep',
  'key',
  'certificate',
  'caCertificate',
] as const;
const MEMBER_PORTS = ['joinPort', 'gossipPort', 'dataPathPort'] as const;

/** What was read back from the file, or an error that says what is wrong with it: a damaged identity is not half used. */
export function parseIdentity(value: unknown): IdentityState {
  const state = value as Partial<Record<string, unknown>> | null;
  if (typeof state !== 'object' || state === null) throw new Error('it holds no object');
  if (state.version !== 1) throw new Error(`its version is ${String(state.version)}, this agent knows 1`);
  if (typeof state.key !== 'string') throw new Error('its key is missing');
  if (state.phase === 'pending') return state as unknown as PendingIdentity;
  if (state.phase !== 'member') throw new Error(`its phase is ${String(state.phase)}`);
  const missing: string[] = [
    ...MEMBER_TEXTS.filter((name) => typeof state[name] !== 'string'),
    ...MEMBER_PORTS.filter((name) => typeof state[name] !== 'number'),
  ];
  const store = state.store as Partial<Identity['store']> | undefined;
  if (!Array.isArray(store?.endpoints)) missing.push('store');
  if (missing.length > 0) throw new Error(`these are missing: ${missing.join(', ')}`);
  const { caKey, ...identity } = state as unknown as Identity;
  return { ...identity, ...(caKey && { caKey }) };
}

/** Agents of releases in which every member had the CA's key take a file without one for damaged: they find an empty one. */
export function renderIdentity(state: IdentityState): string {
  return JSON.stringify(state.phase === 'member' ? { caKey: '', ...state } : state);
}
