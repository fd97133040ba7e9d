import { join } from 'node:path';
import { formatHttpUrl } from '../../core/host-port.ts';

export interface ServerPorts {
  readonly client: number;
  readonly peer: number;
}

/** Files that the arguments speak of, below the server's directory. */
export const CA_FILE = 'ca.pem';
export const CERTIFICATE_FILE = 'server.pem';
export const KEY_FILE = 'server-key.pem';

/** Where clients reach the server that advertises `address`. */
export function formatClientUrl(address: string, port: number): string {
  return formatHttpUrl({ scheme: 'https', host: address, port });
}

/**
 * A cluster of one member. Nobody talks to it without a certificate of the cluster's CA, on the peer port neither.
 * History goes after an hour; a watch that was away longer lists again. Flags as etcd 3.4 to 3.6 know them.
 */
export function renderServerArguments(
  directory: string,
  advertiseAddress: string,
  ports: ServerPorts,
): readonly string[] {
  const file = (name: string) => join(directory, name);
  const client = formatClientUrl(advertiseAddress, ports.client);
  const local = formatClientUrl('127.0.0.1', ports.client);
  const peer = formatClientUrl('127.0.0.1', ports.peer);
  const options: Record<string, string> = {
    name: 'overlayd',
    'data-dir': file('data'),
    'listen-client-urls': [...new Set([client, local])].join(','),
    'advertise-client-urls': client,
    'trusted-ca-file': file(CA_FILE),
    'cert-file': file(CERTIFICATE_FILE),
    'key-file': file(KEY_FILE),
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `overlayd=${peer}`,
    'peer-trusted-ca-file': file(CA_FILE),
    'peer-cert-file': file(CERTIFICATE_FILE),
    'peer-key-file': file(KEY_FILE),
    'auto-compaction-mode': 'periodic',
    'auto-compaction-retention': '1h',
    'quota-backend-bytes': String(1024 ** 3),
    'snapshot-count': '10000',
    'max-snapshots': '2',
    'max-wals': '2',
    logger: 'zap',
    'log-outputs': 'stderr',
    'log-level': 'warn',
  };
  return [
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    '--client-cert-auth=true',
    '--peer-client-cert-auth=true',
    '--enable-grpc-gateway=false',
  ];
}
