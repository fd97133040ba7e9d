/** How `init` and the other use-cases come to an etcd: the user's own, checked as typed, or the bundled one. */
import { OverlaydError } from '../../core/errors.ts';
import { formatHttpUrl, type HttpUrl, parseHttpUrl } from '../../core/host-port.ts';
import type { BundledStore } from '../../core/keepers.ts';
import type { NodeRecord } from '../../core/records.ts';
import { CLIENT_PORT } from '../../core/store-members.ts';
import { numberOfControl } from '../../core/wireguard/addresses.ts';
import type { TlsMaterial } from '../../ports/identity.ts';
import type { ClusterStore, StoreAccess } from '../../ports/store.ts';
import type { Identity } from './identity.ts';

export interface StoreLink {
  readonly store: ClusterStore;
  close(): void;
}

/** Lazy: whether etcd answers shows at the first call. `material` is used where `access` has no credentials of its own. */
export type OpenStore = (access: StoreAccess, material: TlsMaterial) => StoreLink;

/** As typed; PEM contents, not paths. */
export interface EtcdOptions {
  readonly etcdEndpoints: readonly string[];
  readonly etcdCa: string;
  readonly etcdCert: string;
  readonly etcdKey: string;
}

/** Undefined: the bundled way. Throws `invalid-argument`. */
export function parseStoreAccess(options: EtcdOptions): StoreAccess | undefined {
  const { etcdCa: caCertificate, etcdCert: certificate, etcdKey: key } = options;
  const given = [caCertificate, certificate, key].filter((pem) => pem !== '').length;
  if (options.etcdEndpoints.length === 0) {
    if (given > 0) throw invalid('--etcd-ca, --etcd-cert and --etcd-key need --etcd as well');
    return undefined;
  }
  const endpoints = options.etcdEndpoints.map(parseEndpoint);
  const secure = endpoints.filter((endpoint) => endpoint.startsWith('https:')).length;
  if (secure !== 0 && secure !== endpoints.length) throw invalid('--etcd: endpoints must be all https or all http');
  if (secure === 0 && given > 0) throw invalid('--etcd: certificates are for https endpoints, these are http');
  if (secure > 0 && given < 3) throw invalid('--etcd: https endpoints need --etcd-ca, --etcd-cert and --etcd-key');
  return { endpoints, caCertificate, certificate, key };
}

function parseEndpoint(text: string): string {
  const example = 'write it like https://192.0.2.5:2379 or https://[2001:db8::5]:2379';
  const [, rest] = /^https?:\/\/(.*)$/.exec(text) ?? [];
  if (rest === undefined) throw invalid(`--etcd: "${text}" lacks http:// or https://; ${example}`);
  if (rest.includes('@')) throw invalid('--etcd: user names in the URL are not supported; use client certificates');
  if (/[/?#]./.test(rest)) throw invalid(`--etcd: "${text}" has more than host and port; ${example}`);
  const url = parseHttpUrl(text);
  if (url === undefined) throw invalid(`--etcd: "${text}" is not a URL of host and port; ${example}`);
  return formatHttpUrl({ ...url, port: url.port ?? CLIENT_PORT });
}

function invalid(message: string): OverlaydError {
  return new OverlaydError('invalid-argument', message);
}

/**
 * Ids of the members that keep the store; none when that is none of the members' doing. `keepers`: as their record says. Before there
 * was one, the holder says so itself; else `access`, this node's own way to it, tells: the bundled etcd alone takes the nodes'
 * certificates, and serves at its node's address.
 */
export function storeHolders(
  nodes: Iterable<NodeRecord>,
  keepers: readonly string[] | undefined,
  access: StoreAccess,
): readonly string[] {
  const hosts = bundledUrlsOf(access).map(({ host }) => host);
  if (keepers) return hosts.length > 0 ? keepers : [];
  const all = [...nodes];
  const told = all.find(({ holdsStore }) => holdsStore);
  const found = told ?? all.find(({ advertiseAddress }) => hosts.includes(advertiseAddress));
  return found ? [found.id] : [];
}

export function accessOf({ store }: Identity): StoreAccess {
  const { endpoints, caCertificate, certificate, key } = store;
  return { endpoints, caCertificate, certificate, key };
}

/** What other hosts are told: never what is this host's own. */
export function sharedAccessOf(identity: Pick<Identity, 'store'>): StoreAccess {
  const { endpoints, caCertificate, certificate, key } = identity.store;
  return { endpoints, caCertificate, certificate, key, ...identity.store.shared };
}

/** Undefined for an etcd of the user's. */
export function bundledStoreOf(store: Identity['store']): BundledStore | undefined {
  const [url] = bundledUrlsOf(store);
  return url && { port: url.port ?? CLIENT_PORT, here: store.bundled };
}

/** Hosts of the bundled etcd, as seen from outside of the tunnels; empty for an etcd of the user's. */
export function bundledHostsOf(store: Identity['store']): string[] {
  const hosts = bundledUrlsOf(store).map(({ host }) => host);
  return hosts.filter((host) => numberOfControl(host) === undefined);
}

/** Members use their node certificate with it: an etcd of the user's has credentials of its own, or none. */
function bundledUrlsOf({ endpoints, certificate }: StoreAccess): HttpUrl[] {
  if (certificate !== '') return [];
  return endpoints.flatMap((endpoint) => parseHttpUrl(endpoint) ?? []).filter(({ scheme }) => scheme === 'https');
}
