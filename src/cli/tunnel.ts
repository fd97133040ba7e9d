/** WireGuard's tunnels to other nodes, as tables and as JSON. */
import { formatDuration } from '../core/config/duration.ts';
import type { Tunnel } from '../gen/overlayd/v1/control.ts';
import { timestamp } from './output.ts';

export function tunnelJson({ nodeName, backend, device, endpoint, mtu, problem, ...rest }: Tunnel) {
  return {
    Node: nodeName,
    Backend: backend,
    Device: device,
    Endpoint: endpoint,
    RelayedBy: rest.relayedBy,
    LastHandshake: rest.lastHandshakeMs === 0 ? '' : timestamp(rest.lastHandshakeMs),
    SentBytes: rest.sentBytes,
    ReceivedBytes: rest.receivedBytes,
    Mtu: mtu,
    Problem: problem,
  };
}

/** Two units at most: `3d4h`, `12s`. */
export function age(ms: number): string {
  const unit = ms >= 86_400_000 ? 3_600_000 : ms >= 3_600_000 ? 60_000 : ms >= 1_000 ? 1_000 : 1;
  return formatDuration(Math.max(0, Math.floor(ms / unit) * unit));
}

/** Of what was so many milliseconds ago by the wall clock; 0: never. */
export function handshakeText({ lastHandshakeMs }: Tunnel, now: number): string {
  return lastHandshakeMs === 0 ? 'never' : `${age(now - lastHandshakeMs)} ago`;
}

/** Where packets of it are sent. */
export function wayText({ endpoint, relayedBy }: Tunnel): string {
  return relayedBy === '' ? endpoint || 'not known: it calls' : `relayed by ${relayedBy}`;
}

/** As people count: `312 B`, `4.2 MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}
