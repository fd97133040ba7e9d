/** At which address a member calls another one's agent. Pure. */
import { formatHostPort } from '../host-port.ts';
import type { NodeRecord } from '../records.ts';
import { controlOf } from './addresses.ts';

/**
 * Addresses at which a node asks a keeper's etcd, the best first: one behind NAT inside of the tunnel, and from outside for as
 * long as that does not stand. Of two keys both, so that what stands outlasts their exchange.
 */
export function storeAddresses(
  self: Pick<NodeRecord, 'id' | 'nat'> | undefined,
  { id, advertiseAddress, wireguard }: Pick<NodeRecord, 'id' | 'advertiseAddress' | 'wireguard'>,
): readonly string[] {
  const inside = self?.nat && self.id !== id ? (wireguard?.keys ?? []) : [];
  return [...inside.map(({ number }) => controlOf(number)), advertiseAddress];
}

type Reached = Pick<NodeRecord, 'advertiseAddress' | 'gossipPort' | 'nat' | 'wireguard'>;

/**
 * `host:port` of its gossip listener. Where one of both is behind NAT it is the control address, inside of the tunnel; until
 * that stands, one behind NAT calls the other from outside. Undefined: there is no way yet. `hasTunnel`: packets pass.
 */
export function gossipAddress(
  self: Pick<NodeRecord, 'nat'> | undefined,
  member: Reached,
  hasTunnel: boolean,
): string | undefined {
  const { advertiseAddress, gossipPort, nat, wireguard } = member;
  const [key] = wireguard?.keys ?? [];
  const isInside = nat || (self?.nat && hasTunnel);
  if (!isInside) return formatHostPort(advertiseAddress, gossipPort);
  return key && formatHostPort(controlOf(key.number), gossipPort);
}
