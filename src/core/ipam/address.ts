/**
 * Choice of an endpoint's address. Next-fit: the search starts behind the address given last, so a released one is
 * used again as late as possible. The choice is a proposal; the claim is etcd's compare-and-create, and a loser
 * chooses again, some addresses further on, because the other losers know the same as it does. Scales: one pass over the subnet at worst, a few steps as a rule.
 */
import { OverlaydError } from '../errors.ts';
import { type Cidr, contains, firstOf, formatAddress, formatCidr, lastOf, parseAddress, requireCidr } from '../ip.ts';
import type { EndpointRecord, QuarantineRecord, SubnetSpec } from '../records.ts';

export interface AddressSpace {
  readonly subnet: SubnetSpec;
  /** By address. */
  readonly endpoints: ReadonlyMap<string, Pick<EndpointRecord, 'createdAt' | 'name' | 'nodeId'>>;
  readonly quarantine: ReadonlyMap<string, QuarantineRecord>;
  /** Being claimed on this node right now, or just lost to another node. */
  readonly pending: ReadonlySet<string>;
}

export interface AddressCounts {
  readonly total: number;
  readonly used: number;
  /** Network, broadcast, gateway and auxiliary addresses. */
  readonly reserved: number;
  readonly quarantined: number;
  readonly free: number;
}

export interface Choice {
  readonly address: string;
  /** The address rests in quarantine after a clean release: the claim must replace that record. */
  readonly fromQuarantine: boolean;
}

/**
 * An address for automatic choice. When nothing else is free, the longest-resting address that its owner released
 * cleanly is taken before its time. `skip`: how many that would do are left to others; past the last one it goes on
 * with the first. Throws `no-available-addresses` with the counts.
 */
export function chooseAddress(space: AddressSpace, networkName: string, skip = 0): Choice {
  const range = automaticRange(space.subnet);
  const reserved = reservedAddresses(space.subnet);
  const start = nextAfterLast(space, range);
  const size = lastOf(range) - firstOf(range) + 1;
  const free: string[] = [];
  for (let i = 0; i < size && free.length <= skip; i++) {
    const value = firstOf(range) + ((start - firstOf(range) + i) % size);
    if (reserved.has(value)) continue;
    const address = formatAddress(value);
    if (!space.endpoints.has(address) && !space.pending.has(address) && !space.quarantine.has(address)) {
      free.push(address);
    }
  }
  if (free.length > 0) return { address: free[skip % free.length]!, fromQuarantine: false };
  const resting = [...space.quarantine]
    .filter(([address, record]) => record.clean && !space.pending.has(address) && !space.endpoints.has(address))
    .filter(([address]) => contains(range, parseAddress(address) ?? 0) && !reserved.has(parseAddress(address) ?? 0))
    .sort(([, a], [, b]) => a.releasedAt - b.releasedAt)
    .map(([address]) => address);
  if (resting.length > 0) return { address: resting[skip % resting.length]!, fromQuarantine: true };
  throw fullError(space, networkName);
}

/**
 * A static address as a person typed it. `holder` is used to name who has it.
 * Throws `invalid-address`, `address-out-of-range`, `address-in-use`.
 */
export function checkAddress(space: AddressSpace, text: string, holder: (nodeId: string) => string): Choice {
  const block = requireCidr(space.subnet.cidr, 'subnet');
  const value = parseAddress(text);
  if (value === undefined) {
    throw new OverlaydError(
      'invalid-address',
      `ip: "${text}" is not an IPv4 address; write it like ${formatAddress(firstOf(block) + 5)}`,
    );
  }
  if (!contains(block, value)) {
    throw new OverlaydError(
      'address-out-of-range',
      `requested address ${text} is out of range: the network's subnet is ${space.subnet.cidr}`,
    );
  }
  const reservedFor = reservedAddresses(space.subnet).get(value);
  if (reservedFor) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${text} is ${reservedFor}; choose another one in ${space.subnet.cidr}`,
    );
  }
  const endpoint = space.endpoints.get(text);
  if (endpoint) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${text} belongs to ${endpoint.name} on ${holder(endpoint.nodeId)}`,
    );
  }
  if (space.pending.has(text)) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${text} is being given to another container now`,
      { retryable: true },
    );
  }
  const quarantined = space.quarantine.get(text);
  if (quarantined && !quarantined.clean) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${text} belonged to a removed host and rests in quarantine; try again in a minute`,
      { retryable: true },
    );
  }
  return { address: text, fromQuarantine: quarantined !== undefined };
}

/** Shape of the address space of one subnet, for messages and `network inspect`. */
export function countAddresses(space: AddressSpace): AddressCounts {
  const block = requireCidr(space.subnet.cidr, 'subnet');
  const reserved = reservedAddresses(space.subnet);
  const within = (address: string) => contains(block, parseAddress(address) ?? -1);
  const used = [...space.endpoints.keys()].filter(within).length;
  const quarantined = [...space.quarantine.keys()].filter((a) => within(a) && !space.endpoints.has(a)).length;
  const total = lastOf(block) - firstOf(block) + 1;
  return { total, used, reserved: reserved.size, quarantined, free: total - used - reserved.size - quarantined };
}

/** Addresses that no endpoint gets, with what they are in words. RFC 3021: a /31 has neither network nor broadcast. */
export function reservedAddresses(subnet: SubnetSpec): ReadonlyMap<number, string> {
  const block = requireCidr(subnet.cidr, 'subnet');
  const reserved = new Map<number, string>();
  if (block.prefix < 31) {
    reserved.set(firstOf(block), 'the network address');
    reserved.set(lastOf(block), 'the broadcast address');
  }
  for (const [name, address] of Object.entries(subnet.auxAddresses)) {
    const value = parseAddress(address);
    if (value !== undefined) reserved.set(value, `reserved for ${name} (--aux-address)`);
  }
  const gateway = parseAddress(subnet.gateway);
  if (gateway !== undefined) reserved.set(gateway, 'the gateway');
  return reserved;
}

/** The part of the subnet that automatic choice draws from: `--ip-range`, else all of it. */
function automaticRange(subnet: SubnetSpec): Cidr {
  return requireCidr(subnet.ipRange ?? subnet.cidr, 'ip-range');
}

function nextAfterLast(space: AddressSpace, range: Cidr): number {
  let last = { value: firstOf(range) - 1, at: -1 };
  for (const [address, { createdAt }] of space.endpoints) {
    const value = parseAddress(address) ?? 0;
    // Within one millisecond the higher address is the later one.
    if (contains(range, value) && (createdAt > last.at || (createdAt === last.at && value > last.value))) {
      last = { value, at: createdAt };
    }
  }
  for (const [address, { releasedAt }] of space.quarantine) {
    const value = parseAddress(address) ?? 0;
    if (contains(range, value) && value > last.value && releasedAt >= last.at) last = { value, at: releasedAt };
  }
  return last.value >= lastOf(range) ? firstOf(range) : last.value + 1;
}

function fullError(space: AddressSpace, networkName: string): OverlaydError {
  const counts = countAddresses(space);
  const within = space.subnet.ipRange ? ` in --ip-range ${space.subnet.ipRange}` : '';
  return new OverlaydError(
    'no-available-addresses',
    `no available addresses on network ${networkName} (${formatCidr(requireCidr(space.subnet.cidr, 'subnet'))})${within}: ` +
      `${counts.used} used, ${counts.free} free, ${counts.quarantined} quarantined; ` +
      'disconnect containers, or create a network with a larger --subnet',
    { retryable: counts.quarantined > 0 },
  );
}
