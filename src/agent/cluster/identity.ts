/**
 * What a member keeps in `identity.json` (mode 0600): who it is, its keys, how to reach etcd. Everything else is in
 * etcd. The file is written before the cluster is told anything, so that whatever crashes can be repeated.
 */
import { OverlaydError } from '../../core/errors.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { TlsMaterial } from '../../ports/identity.ts';
import type { StoreAccess } from '../../ports/store.ts';

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
  readonly key: string;
  readonly certificate: string;
  readonly caCertificate: string;
  /** Every member can admit further ones (docs/adr/0003-every-member-admits.md). */
  readonly caKey: string;
  /** `bundled`: this node runs the cluster's etcd. */
  readonly store: StoreAccess & { readonly bundled: boolean };
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

export function tlsMaterialOf({ certificate, key, caCertificate }: Identity): TlsMaterial {
  return { certificate, key, caCertificate };
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
  'caKey',
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
  return state as unknown as Identity;
}
