/**
 * The words of WireGuard's configuration protocol for userspace (https://www.wireguard.com/xplatform/): lines `key=value`, an
 * empty one at the end; keys in hexadecimal digits.
 */
import { OverlaydError } from '../../core/errors.ts';
import { keyBytes, publicKeyOf } from './keys.ts';

export interface UapiPeer {
  readonly publicKey: string;
  readonly endpoint: string | undefined;
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds: number;
  readonly lastHandshakeMs: number | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface UapiDevice {
  readonly publicKey: string | undefined;
  /** 0: it has no socket. */
  readonly port: number;
  readonly peers: readonly UapiPeer[];
}

/** What is to be otherwise; what is left out stays. */
export interface UapiChange {
  readonly privateKey?: string | undefined;
  readonly port?: number | undefined;
  /** No other peers stay. */
  readonly replacePeers?: boolean | undefined;
  readonly peers?:
    | readonly {
        readonly publicKey: string;
        readonly remove?: boolean | undefined;
        readonly endpoint?: string | undefined;
        /** All that it has from then on. */
        readonly allowedIps?: readonly string[] | undefined;
        readonly keepaliveSeconds?: number | undefined;
      }[]
    | undefined;
}

export const GET = 'get=1\n\n';

export function renderSet({ privateKey, port, replacePeers, peers = [] }: UapiChange): string {
  const lines = ['set=1'];
  if (privateKey !== undefined) lines.push(`private_key=${hex(privateKey)}`);
  if (port !== undefined) lines.push(`listen_port=${port}`);
  if (replacePeers) lines.push('replace_peers=true');
  for (const { publicKey, remove, endpoint, allowedIps, keepaliveSeconds } of peers) {
    lines.push(`public_key=${hex(publicKey)}`);
    // It would be made, to be taken away.
    if (remove) lines.push('update_only=true', 'remove=true');
    if (endpoint !== undefined) lines.push(`endpoint=${requireOneLine(endpoint)}`);
    if (allowedIps) lines.push('replace_allowed_ips=true', ...allowedIps.map((cidr) => `allowed_ip=${cidr}`));
    // The last: one that was 0 is sent at once, and the answer has to find what goes with it.
    if (keepaliveSeconds !== undefined) lines.push(`persistent_keepalive_interval=${keepaliveSeconds}`);
  }
  return `${lines.join('\n')}\n\n`;
}

/** The number of the error, positive as in errno(3), 0: none; undefined: the answer is not whole. */
export function readErrno(answer: string): number | undefined {
  const match = /(?:^|\n)errno=(-?\d+)\n\n$/.exec(answer);
  return match ? Math.abs(Number(match[1])) : undefined;
}

/** Of what is asked by {@link GET}. What is not known is passed over. */
export function readDevice(answer: string): UapiDevice {
  let publicKey: string | undefined;
  let port = 0;
  const peers: Mutable<UapiPeer>[] = [];
  for (const line of answer.split('\n')) {
    const at = line.indexOf('=');
    const [key, value] = [line.slice(0, at), line.slice(at + 1)];
    const peer = peers.at(-1);
    if (key === 'public_key') peers.push(newPeer(base64(value)));
    else if (peer) readPeerLine(peer, key, value);
    else if (key === 'private_key') publicKey = /^0*$/.test(value) ? undefined : publicKeyOf(base64(value));
    else if (key === 'listen_port') port = Number(value);
  }
  return { publicKey, port, peers };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function newPeer(publicKey: string): Mutable<UapiPeer> {
  const nothing = { endpoint: undefined, allowedIps: [], keepaliveSeconds: 0, lastHandshakeMs: undefined };
  return { publicKey, ...nothing, receivedBytes: 0, sentBytes: 0 };
}

function readPeerLine(peer: Mutable<UapiPeer>, key: string, value: string): void {
  const addMs = (ms: number) => {
    if (ms > 0) peer.lastHandshakeMs = (peer.lastHandshakeMs ?? 0) + ms;
  };
  switch (key) {
    case 'endpoint':
      peer.endpoint = value;
      break;
    case 'allowed_ip':
      peer.allowedIps = [...peer.allowedIps, value];
      break;
    case 'persistent_keepalive_interval':
      peer.keepaliveSeconds = Number(value);
      break;
    case 'last_handshake_time_sec':
      addMs(Number(value) * 1_000);
      break;
    case 'last_handshake_time_nsec':
      addMs(Math.floor(Number(value) / 1e6));
      break;
    case 'rx_bytes':
      peer.receivedBytes = Number(value);
      break;
    case 'tx_bytes':
      peer.sentBytes = Number(value);
      break;
  }
}

/** Another node may have written it: what goes on in a next line would be said of whomever it likes. Throws `internal`. */
function requireOneLine(endpoint: string): string {
  if (!/\s/.test(endpoint)) return endpoint;
  throw new OverlaydError('internal', `${JSON.stringify(endpoint)} is no endpoint`);
}

function hex(key: string): string {
  return keyBytes(key).toString('hex');
}

function base64(digits: string): string {
  return Buffer.from(digits, 'hex').toString('base64');
}
