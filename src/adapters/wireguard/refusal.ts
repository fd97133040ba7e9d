/** What a refusal means, in words that say what to do. */
import { OverlaydError } from '../../core/errors.ts';
import type { WireguardOp } from '../../core/wireguard/state.ts';
import { findPortOwner } from '../port-owner.ts';
import { NOBODY } from './uapi.ts';

/** `namespace`: of the host, where that is another one than this process's. */
export async function explain(op: WireguardOp, error: Error, namespace: string | undefined): Promise<OverlaydError> {
  if (error instanceof OverlaydError) return error;
  const words = (await wordsFor(op, error, namespace)) ?? error.message;
  return new OverlaydError('data-path-failed', `${ABOUT[op.kind]}: ${words}`, { retryable: true, cause: error });
}

const ABOUT: Readonly<Record<WireguardOp['kind'], string>> = {
  'add-device': 'a WireGuard device cannot be made',
  'delete-device': 'a WireGuard device cannot be removed',
  'set-device': 'a WireGuard device cannot be changed',
  'set-peer': 'a peer of WireGuard cannot be set',
  'remove-peer': 'a peer of WireGuard cannot be removed',
  'send-by': 'the route into the tunnels cannot be set',
  'delete-place': "WireGuard's namespace cannot be removed",
};

async function wordsFor(op: WireguardOp, error: Error, namespace: string | undefined): Promise<string | undefined> {
  const { code = '' } = error as NodeJS.ErrnoException;
  const port = op.kind === 'add-device' ? op.device.port : op.kind === 'set-device' ? op.set.port : undefined;
  if (code === 'EADDRINUSE' && port !== undefined) {
    const owner = await findPortOwner('udp', port, namespace === undefined ? {} : { namespacePath: namespace });
    const who =
      typeof owner === 'object' ? `by ${owner.process}` : 'by a device of the kernel (`ip -d link` lists them)';
    return `UDP port ${port} is taken ${owner === undefined ? '' : `${who} `}on this host: free it, or choose another one with --wireguard-port`;
  }
  const isOfDevice = op.kind === 'set-device' || op.kind === 'set-peer' || op.kind === 'remove-peer';
  if (isOfDevice && NOBODY.includes(code)) return `wireguard-go of ${op.name} has ended; it is started again`;
  if (op.kind === 'send-by' && code === 'EINVAL') return `${op.address} is no address of ${op.name} (${error.message})`;
  return undefined;
}
