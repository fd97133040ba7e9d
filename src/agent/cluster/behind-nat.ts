/**
 * Whether a host that joins is behind NAT. Joiner and member find out together: the one knows the addresses of its host, the
 * other where the request came from. Then other hosts cannot call it, and its addresses mean nothing to them: it is a member
 * that calls, and has what WireGuard carries alone (docs/adr/0020, point 7).
 */
import { OverlaydError } from '../../core/errors.ts';
import { ENCRYPTION_LEVEL, requireLevel } from '../../core/levels.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { JoinRequest } from '../../ports/join.ts';

/** `source`: the address that the request came from. What somebody said stands. */
export function isBehindNat({ nat, ownAddresses }: Pick<JoinRequest, 'nat' | 'ownAddresses'>, source: string): boolean {
  if (nat !== undefined) return nat;
  return ownAddresses.length > 0 && !ownAddresses.includes(source.replace(/%.*$/, ''));
}

/** Throws what keeps a host behind NAT from being a member: `tool-missing`, or as {@link requireLevel}. */
export function requireTunnel(
  { nat, wireguardBackend, advertiseAddress }: Pick<JoinRequest, 'nat' | 'wireguardBackend' | 'advertiseAddress'>,
  { source, level, nodes }: { readonly source: string; readonly level: number; readonly nodes: Iterable<NodeRecord> },
): void {
  try {
    requireLevel(ENCRYPTION_LEVEL, level, nodes, 'members behind NAT');
    if (wireguardBackend !== '') return;
    throw new OverlaydError(
      'tool-missing',
      'members reach a host behind NAT by WireGuard alone, and this host has none: the kernel has no such module, and wireguard-go is not installed (Debian: apt install wireguard-go)',
    );
  } catch (error) {
    if (nat !== undefined || !(error instanceof OverlaydError)) throw error;
    throw new OverlaydError(error.code, `${error.message}; ${foundOut(source, advertiseAddress)}`, {
      cause: error,
      retryable: error.retryable,
    });
  }
}

/** In words, why a host is taken for one behind NAT, and what to do where it is not. */
export function foundOut(source: string, advertiseAddress: string): string {
  return `this host is behind NAT: the member sees it come from ${source}, which is no address of its own. If members do reach it at ${advertiseAddress}, join with --no-nat`;
}
