import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { formatHttpUrl } from '../../core/host-port.ts';
import { ALL_ADDRESSES } from '../../core/ip.ts';
import { STORE_QUOTA_BYTES } from '../../core/store-upkeep.ts';
import type { EtcdServerSettings, StoreMember } from '../../ports/store.ts';

export interface ServerPorts {
  readonly client: number;
  readonly peer: number;
}

/** Files that the arguments speak of, below the server's directory. */
export const CA_FILE = 'ca.pem';
export const CERTIFICATE_FILE = 'server.pem';
export const KEY_FILE = 'server-key.pem';
export const REVOCATION_FILE = 'revoked.crl';

/** Where the server that advertises `address` is reached, by clients or by other members. */
export function formatServerUrl(address: string, port: number): string {
  return formatHttpUrl({ scheme: 'https', host: address, port });
}

/** In certificates of keepers. */
export const SERVER_NAME = 'etcd.overlayd';

/**
 * One member. Nobody talks to it without a certificate of the cluster's CA, on the peer port without one of a keeper. By which
 * of its addresses another member calls does not matter, so certificates are not compared with it. History goes after an hour; a
 * watch that was away longer lists again. Flags as etcd 3.4 to 3.6 know them.
 */
export function renderServerArguments(
  directory: string,
  settings: EtcdServerSettings,
  ports: ServerPorts,
): readonly string[] {
  const { name, advertiseAddress, listenAddress, revocationList } = settings;
  const file = (name: string) => join(directory, name);
  const peer = formatServerUrl(advertiseAddress, ports.peer);
  const revocation = revocationList !== undefined && file(REVOCATION_FILE);
  const options: Record<string, string> = {
    name,
    'data-dir': file('data'),
    'listen-client-urls': listenUrls(listenAddress, ports.client),
    'advertise-client-urls': formatServerUrl(advertiseAddress, ports.client),
    'trusted-ca-file': file(CA_FILE),
    'cert-file': file(CERTIFICATE_FILE),
    'key-file': file(KEY_FILE),
    'listen-peer-urls': listenUrls(listenAddress, ports.peer),
    'peer-trusted-ca-file': file(CA_FILE),
    'peer-cert-file': file(CERTIFICATE_FILE),
    'peer-key-file': file(KEY_FILE),
    'peer-cert-allowed-hostname': SERVER_NAME,
    ...(revocation && { 'client-crl-file': revocation, 'peer-crl-file': revocation }),
    'auto-compaction-mode': 'periodic',
    'auto-compaction-retention': '1h',
    'quota-backend-bytes': String(STORE_QUOTA_BYTES),
    'snapshot-count': '10000',
    'max-snapshots': '2',
    'max-wals': '2',
    logger: 'zap',
    'log-outputs': 'stderr',
    'log-level': 'warn',
    'initial-advertise-peer-urls': peer,
    ...initial(settings, peer),
  };
  return [
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    '--client-cert-auth=true',
    '--peer-client-cert-auth=true',
    '--experimental-peer-skip-client-san-verification=true',
    '--enable-grpc-gateway=false',
    // 3.4 has it off: a member that was cut off would take the leader down when it comes back.
    '--pre-vote=true',
  ];
}

/** Whether a server that was started with `theirs` does what one with `ours` would: what it began with does not count. */
export function sameArguments(theirs: readonly string[], ours: readonly string[]): boolean {
  const [a, b] = [withoutInitial(theirs), withoutInitial(ours)];
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

function withoutInitial(args: readonly string[]): string[] {
  return args.filter((_, i) => !args[i]!.startsWith('--initial-') && !args[i - 1]?.startsWith('--initial-'));
}

/**
 * What a server without data begins with; one with data does not look at it. The token makes each store another one, so that
 * a member of a store that was given up, and comes back, is a stranger to the store that was made in its place.
 */
function initial({ name, begin }: EtcdServerSettings, peer: string): Record<string, string> {
  if (begin === undefined || begin === 'alone') {
    const token = randomBytes(8).toString('hex');
    return { 'initial-cluster': `${name}=${peer}`, 'initial-cluster-state': 'new', 'initial-cluster-token': token };
  }
  const nameOf = (member: StoreMember) => (member.peerUrls.includes(peer) ? name : member.name || member.id);
  const members = begin.flatMap((member) => member.peerUrls.map((url) => `${nameOf(member)}=${url}`));
  return { 'initial-cluster': members.join(','), 'initial-cluster-state': 'existing' };
}

function listenUrls(address: string, port: number): string {
  const everywhere = Object.values<string>(ALL_ADDRESSES).includes(address);
  const addresses = everywhere ? [address] : new Set([address, '127.0.0.1']);
  return [...addresses].map((one) => formatServerUrl(one, port)).join(',');
}
