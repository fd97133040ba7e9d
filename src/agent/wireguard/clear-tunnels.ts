import { planWireguard } from '../../core/wireguard/plan.ts';
import type { Wireguard } from '../../ports/wireguard.ts';

/**
 * Removes devices, processes and namespace, whole or not: of a device that was made by halves a look tells nothing. Throws what
 * stands in the way.
 */
export async function clearTunnels(wireguard: Wireguard): Promise<void> {
  const seen = await wireguard.observe();
  const context = { mayRemove: true, isEndpointDue: () => false };
  const ops = planWireguard({ devices: [], sendBy: undefined }, seen, context);
  if (ops.at(-1)?.kind !== 'delete-place') ops.push({ kind: 'delete-place' });
  const [failure] = await wireguard.apply(ops);
  if (failure) throw failure.error;
}
