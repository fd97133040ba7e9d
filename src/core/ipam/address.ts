/**
 * Choice of an endpoint's address. Next-fit: the search starts behind the address given last, so a released one is
 * used again as late as possible. The choice is a proposal; the claim is etcd's compare-and-create, and a loser
 * chooses again, some addresses further on, because the other losers know the same as it does. Scales: a step for each taken
 * address that follows the last one at worst, a few steps as a rule, whatever the size of the subnet; and all of those of a
 * subnet that is full, before the next one is tried.
 */
import { type Cidr, contains, firstOf, ipAt, lastOf, offsetOf, requireCidr, sizeOf } from '../cidr.ts';
import { OverlaydError } from '../errors.ts';
import { type Family, formatIp, parseIp, requireIp } from '../ip.ts';
import type { ClaimRecord, EndpointRecord, NetworkRecord, QuarantineRecord, SubnetSpec } from '../records.ts';
import { subnetWith } from '../subnets.ts';
import { isKeptFromOthers, yieldsToNeed } from './kept.ts';

/** Of one network and one family; what the maps have of the other one does not matter. */
export interface AddressSpace {
  /** Of that family, in the order in which they are filled; one at least for whoever chooses. */
  readonly subnets: readonly SubnetSpec[];
  /** By address. */
  readonly claims: ReadonlyMap<string, ClaimRecord>;
  /** By address; one without a claim has its address all the same. */
  readonly endpoints: ReadonlyMap<string, Pick<EndpointRecord, 'createdAt' | 'name' | 'nodeId'>>;
  readonly quarantine: ReadonlyMap<string, QuarantineRecord>;
  /** Being claimed on this node right now, or just lost to another node. */
  readonly pending: Pick<ReadonlySet<string>, 'has'>;
  /** By the wall clock. */
  readonly now: number;
}

export interface AddressCounts {
  readonly total: number;
  readonly used: number;
  /** Network, broadcast, gateway and auxiliary addresses. */
  readonly reserved: number;
  readonly quarantined: number;
  /** Those that rest for a name. */
  readonly kept: number;
  readonly free: number;
}

export interface Choice {
  readonly address: string;
  /** CIDR of the one that the address is in. */
  readonly subnet: string;
  /** The address rests in quarantine, and may be taken: the claim must replace that record. */
  readonly fromQuarantine: boolean;
}

/**
 * An address for automatic choice, of the first subnet that has a free one. When nothing else is free in any, the
 * longest-resting address that its owner released cleanly is taken before its time, and of those that are kept for a name
 * one only where there is no other. `skip`: how many that would do are left to others; past the last one it goes on with
 * the first. Throws `no-available-addresses` with the counts.
 */
export function chooseAddress(space: AddressSpace, networkName: string, skip = 0): Choice {
  const free: Choice[] = [];
  for (const subnet of space.subnets) {
    for (const address of freeAddresses(space, subnet, skip + 1 - free.length)) {
      free.push({ address, subnet: subnet.cidr, fromQuarantine: false });
    }
    if (free.length > skip) break;
  }
  if (free.length > 0) return free[skip % free.length]!;
  const resting = space.subnets
    .flatMap((subnet) => restingAddresses(space, subnet))
    .sort((a, b) => Number(a.isKept) - Number(b.isKept) || a.releasedAt - b.releasedAt);
  if (resting.length === 0) throw fullError(space, networkName);
  const { address, subnet } = resting[skip % resting.length]!;
  return { address, subnet, fromQuarantine: true };
}

/** The first ones for automatic choice, in the order in which they are given: so many at most. */
function freeAddresses(space: AddressSpace, subnet: SubnetSpec, most: number): string[] {
  const range = automaticRange(subnet);
  const reserved = reservedAddresses(subnet);
  const start = nextAfterLast(space, range);
  const size = sizeOf(range);
  const free: string[] = [];
  for (let i = 0n; i < size && free.length < most; i++) {
    const address = formatIp(ipAt(range, (start + i) % size)!);
    if (reserved.has(address)) continue;
    if (!isTaken(space, address) && !space.pending.has(address) && !space.quarantine.has(address)) {
      free.push(address);
    }
  }
  return free;
}

function restingAddresses(space: AddressSpace, subnet: SubnetSpec) {
  const range = automaticRange(subnet);
  const reserved = reservedAddresses(subnet);
  return [...space.quarantine]
    .filter(([address, record]) => yieldsToNeed(record, space.now) && !space.pending.has(address))
    .filter(([address]) => !isTaken(space, address) && isWithin(range, address) && !reserved.has(address))
    .map(([address, { releasedAt, keptFor }]) => ({
      ...{ address, subnet: subnet.cidr, releasedAt },
      isKept: keptFor !== undefined,
    }));
}

/** Whether an automatic choice of before is one still. */
export function isAvailable(space: AddressSpace, { address, fromQuarantine }: Choice): boolean {
  if (isTaken(space, address) || space.pending.has(address)) return false;
  const resting = space.quarantine.get(address);
  return resting === undefined || (fromQuarantine && yieldsToNeed(resting, space.now));
}

/** The first of what is kept for whoever asks that the network still has for it. */
export function takeKept(space: AddressSpace, addresses: readonly string[]): Choice | undefined {
  for (const address of addresses) {
    const subnet = subnetWith(space.subnets, address);
    if (!subnet || isTaken(space, address) || space.pending.has(address)) continue;
    if (!reservedAddresses(subnet).has(address)) return { address, subnet: subnet.cidr, fromQuarantine: true };
  }
  return undefined;
}

/**
 * A static address as a person typed it. `holder` is used to name who has it, `name` is of the endpoint that is to.
 * Throws `invalid-address`, `address-out-of-range`, `address-in-use`.
 */
export function checkAddress(
  space: AddressSpace,
  text: string,
  holder: (nodeId: string) => string,
  name?: string | undefined,
): Choice {
  const blocks = space.subnets.map(({ cidr }) => requireCidr(cidr, 'subnet'));
  const ip = parseIp(text);
  const [block] = blocks as [Cidr];
  const { family } = block.ip;
  if (ip?.family !== family) {
    const example = formatIp(ipAt(block, 5n) ?? lastOf(block));
    throw new OverlaydError(
      'invalid-address',
      `${optionOf(family)}: "${text}" is not an IPv${family} address; write it like ${example}`,
    );
  }
  const address = formatIp(ip);
  const subnet = space.subnets[blocks.findIndex((block) => contains(block, ip))];
  if (subnet === undefined) {
    const all = space.subnets.map(({ cidr }) => cidr).join(', ');
    throw new OverlaydError(
      'address-out-of-range',
      `requested address ${address} is out of range: the network's ${blocks.length === 1 ? 'subnet is' : 'subnets are'} ${all}`,
    );
  }
  const reservedFor = reservedAddresses(subnet).get(address);
  if (reservedFor) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${address} is ${reservedFor}; choose another one in ${subnet.cidr}`,
    );
  }
  const endpoint = space.endpoints.get(address);
  const taken = endpoint ?? space.claims.get(address);
  if (taken) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${address} belongs to ${taken.nodeId === '' ? 'a service' : `${endpoint?.name ?? 'an endpoint'} on ${holder(taken.nodeId)}`}`,
    );
  }
  if (space.pending.has(address)) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${address} is being given to another container now`,
      { retryable: true },
    );
  }
  const quarantined = space.quarantine.get(address);
  if (quarantined?.keptFor && isKeptFromOthers(quarantined, name)) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${address} is kept for ${quarantined.keptFor.name}; choose another one, or give it back (overlayd ipam release NETWORK ${address})`,
    );
  }
  if (quarantined && !quarantined.clean && !quarantined.keptFor) {
    throw new OverlaydError(
      'address-in-use',
      `address already in use: ${address} belonged to a removed host and rests in quarantine; try again in a minute`,
      { retryable: true },
    );
  }
  return { address, subnet: subnet.cidr, fromQuarantine: quarantined !== undefined };
}

/** By which option of `connect` a static address is asked for. */
export function optionOf(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}

/**
 * Shape of the address space, all subnets together, for messages and `network inspect`. Of one that holds more than a number
 * counts exactly (2^53 - 1; a /64 holds 2^64), `total` and `free` are the largest such number, here and in all messages.
 */
export function countAddresses(space: AddressSpace): AddressCounts {
  const blocks = space.subnets.map(({ cidr }) => requireCidr(cidr, 'subnet'));
  const total = blocks.reduce((sum, block) => sum + sizeOf(block), 0n);
  const reserved = new Set(space.subnets.flatMap((subnet) => [...reservedAddresses(subnet).keys()]));
  const within = (address: string) => blocks.some((block) => isWithin(block, address));
  const taken = new Set([...space.endpoints.keys(), ...space.claims.keys()]);
  const used = [...taken].filter(within).length;
  // What is several of it counts once: `ipam check` names what should not be.
  for (const address of taken) reserved.delete(address);
  const isResting = (address: string) => within(address) && !taken.has(address) && !reserved.has(address);
  const resting = [...space.quarantine].filter(([address]) => isResting(address));
  const kept = resting.filter(([, { keptFor }]) => keptFor).length;
  const free = total - BigInt(used + reserved.size + resting.length);
  return {
    ...{ total: countable(total), used, reserved: reserved.size, quarantined: resting.length - kept, kept },
    free: countable(free),
  };
}

/** The largest number that counts exactly where there are more. */
export function countable(count: bigint): number {
  return Math.min(Number(count), Number.MAX_SAFE_INTEGER);
}

/**
 * Addresses that no endpoint gets, with what they are in words. A block of two has no others (RFC 3021, RFC 6164); of a
 * larger one of IPv6 the first is every router's (RFC 4291, 2.6.1), and there is no broadcast.
 */
export function reservedAddresses(subnet: SubnetSpec): ReadonlyMap<string, string> {
  const block = requireCidr(subnet.cidr, 'subnet');
  const reserved = new Map<string, string>();
  if (sizeOf(block) > 2n) {
    const isIpv4 = block.ip.family === 4;
    reserved.set(formatIp(firstOf(block)), isIpv4 ? 'the network address' : "the routers' anycast address");
    if (isIpv4) reserved.set(formatIp(lastOf(block)), 'the broadcast address');
  }
  for (const [name, address] of Object.entries(subnet.auxAddresses)) {
    const ip = parseIp(address);
    if (ip !== undefined) reserved.set(formatIp(ip), `reserved for ${name} (--aux-address)`);
  }
  reserved.set(formatIp(requireIp(subnet.gateway, 'gateway')), 'the gateway');
  return reserved;
}

/** Of subnets, which stay the same objects: parsed once, not for each of ten thousand endpoints. */
const parsed = new WeakMap<SubnetSpec, { readonly block: Cidr; readonly notForEndpoints: ReadonlySet<string> }>();

/** Why no endpoint of the network is where this one says it is, in words that follow its node's name; undefined: it may be. */
export function whyNotAt(
  { name, subnets }: Pick<NetworkRecord, 'name' | 'subnets'>,
  endpoint: Pick<EndpointRecord, 'name' | 'addresses'>,
): string | undefined {
  for (const { ip, subnet: cidr } of endpoint.addresses) {
    const who = `has endpoint ${endpoint.name} of network ${name} at ${ip}`;
    const subnet = subnets.find((each) => each.cidr === cidr);
    if (!subnet) return `${who}, which is in no subnet of it`;
    const known = parsed.get(subnet) ?? parse(subnet);
    parsed.set(subnet, known);
    const address = parseIp(ip);
    if (!address || !contains(known.block, address)) return `${who}, which is not in ${cidr}`;
    if (known.notForEndpoints.has(ip)) return `${who}, which is ${reservedAddresses(subnet).get(ip)}`;
  }
  return undefined;
}

function parse(subnet: SubnetSpec) {
  const notForEndpoints = new Set(reservedAddresses({ ...subnet, auxAddresses: {} }).keys());
  return { block: requireCidr(subnet.cidr, 'subnet'), notForEndpoints };
}

/** The part of the subnet that automatic choice draws from: `--ip-range`, else all of it. */
function automaticRange(subnet: SubnetSpec): Cidr {
  return requireCidr(subnet.ipRange ?? subnet.cidr, 'ip-range');
}

function isTaken({ claims, endpoints }: AddressSpace, address: string): boolean {
  return claims.has(address) || endpoints.has(address);
}

function isWithin(block: Cidr, address: string): boolean {
  const ip = parseIp(address);
  return ip !== undefined && contains(block, ip);
}

/** Behind the one given last, as its distance from the range's first address. */
function nextAfterLast(space: AddressSpace, range: Cidr): bigint {
  // Of thousands, the texts of those alone are read that may be the last.
  let newest = Number.NEGATIVE_INFINITY;
  for (const { createdAt } of space.endpoints.values()) if (createdAt > newest) newest = createdAt;
  for (const { releasedAt } of space.quarantine.values()) if (releasedAt > newest) newest = releasedAt;
  const found = lastGiven(space, range, newest);
  // Those may all be of another part of the subnet.
  return (found < 0n ? lastGiven(space, range, Number.NEGATIVE_INFINITY) : found) + 1n;
}

/** Of those given or given back at `since` or later; -1: none. */
function lastGiven(space: AddressSpace, range: Cidr, since: number): bigint {
  let last = { offset: -1n, at: -1 };
  const consider = (address: string, at: number) => {
    if (at < last.at) return;
    const ip = parseIp(address);
    const offset = ip && offsetOf(range, ip);
    // Within one millisecond the higher address is the later one.
    if (offset !== undefined && (at > last.at || offset > last.offset)) last = { offset, at };
  };
  for (const [address, { createdAt }] of space.endpoints) if (createdAt >= since) consider(address, createdAt);
  for (const [address, { releasedAt }] of space.quarantine) if (releasedAt >= since) consider(address, releasedAt);
  return last.offset;
}

function fullError(space: AddressSpace, networkName: string): OverlaydError {
  const counts = countAddresses(space);
  const family = requireCidr(space.subnets[0]!.cidr, 'subnet').ip.family;
  const all = space.subnets.map(({ cidr }) => cidr).join(', ');
  const ranges = space.subnets.flatMap(({ ipRange }) => ipRange ?? []);
  const within = ranges.length > 0 ? ` in --ip-range ${ranges.join(', ')}` : '';
  return new OverlaydError(
    'no-available-addresses',
    `no available IPv${family} addresses on network ${networkName} (${all})${within}: ` +
      `${counts.used} used, ${counts.free} free, ${counts.quarantined} quarantined${counts.kept > 0 ? `, ${counts.kept} kept for names` : ''}; ` +
      `disconnect containers, or give it another subnet (overlayd network subnet add ${networkName} CIDR)`,
    { retryable: counts.quarantined + counts.kept > 0 },
  );
}
