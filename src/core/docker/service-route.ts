/**
 * The way from a container to the service address, one for each of its endpoints. An engine takes no destination twice,
 * so each endpoint has a block of its own size around the address: the smallest decides, and when its endpoint goes, the
 * next one does.
 */
import { SERVICE_ADDRESS } from '../host-state.ts';
import { canonical, formatCidr, requireAddress } from '../ip.ts';

/** Nothing but the service address may be near: other link-local addresses are somebody else's. */
const LARGEST_BLOCK = 24;

/** CIDR. `taken`: those of the container's other endpoints. Undefined when there are enough. */
export function serviceRoute(taken: ReadonlySet<string | undefined>): string | undefined {
  const address = requireAddress(SERVICE_ADDRESS, 'service address');
  for (let prefix = 32; prefix >= LARGEST_BLOCK; prefix--) {
    const route = formatCidr(canonical({ address, prefix }));
    if (!taken.has(route)) return route;
  }
  return undefined;
}
