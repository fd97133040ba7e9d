/**
 * `network create` as asked, checked as far as it can be without the cluster: every option is honoured or refused.
 * What comes out is complete but for what only the cluster can choose (VNI, automatic subnet).
 */
import {
  type Cidr,
  canonical,
  contains,
  containsCidr,
  formatCidr,
  ipAt,
  isCanonical,
  offsetOf,
  parseCidr,
  requireCidr,
  sizeOf,
} from './cidr.ts';
import { OverlaydError } from './errors.ts';
import { compareIps, type Family, formatIp, type Ip, parseIp, requireIp } from './ip.ts';
import { checkSubnet, checkSubnets } from './ipam/subnet.ts';
import { checkLabels } from './labels.ts';
import { checkNetworkName } from './names.ts';
import { checkOptions, networkSettings } from './network-options.ts';
import type { SubnetSpec } from './records.ts';

export interface NetworkRequest {
  readonly name: string;
  readonly attachable?: boolean | undefined;
  readonly internal: boolean;
  /** Containers get addresses of IPv4. Absent: they do. */
  readonly ipv4?: boolean | undefined;
  /** Containers get addresses of IPv6. Absent: they do not. */
  readonly ipv6?: boolean | undefined;
  readonly subnets: readonly string[];
  readonly gateways: readonly string[];
  readonly ipRanges: readonly string[];
  /** By name: one of each subnet at most. */
  readonly auxAddresses: Readonly<Record<string, string | readonly string[]>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
}

/** `network subnet add` as asked. */
export interface SubnetRequest {
  readonly subnet: string;
  readonly gateway?: string | undefined;
  readonly ipRange?: string | undefined;
}

export interface NetworkDraft {
  readonly name: string;
  readonly attachable: boolean;
  readonly internal: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** A VNI that was asked for. */
  readonly vni: number | undefined;
  /** One at least, IPv4 first. */
  readonly families: readonly Family[];
}

/** Throws `invalid-name`, `invalid-argument`, `unknown-option`. */
export function draftNetwork(request: NetworkRequest): NetworkDraft {
  checkNetworkName(request.name);
  checkOptions(request.options, request);
  const families = familiesOf(request);
  const named = new Set(request.subnets.map(familyOfBlock));
  for (const [what, values] of [
    ['gateway', request.gateways],
    ['ip-range', request.ipRanges],
    ['aux-address', Object.values(request.auxAddresses).flat()],
  ] as const) {
    const astray = values.find((value) => !named.has(familyOfBlock(value) ?? [...named][0]));
    if (astray !== undefined) {
      throw new OverlaydError('invalid-argument', `--${what} needs a --subnet that it lies in: ${astray}`);
    }
  }
  return {
    name: request.name,
    families,
    attachable: request.attachable ?? true,
    internal: request.internal,
    labels: checkLabels(request.labels, 'network'),
    options: request.options,
    vni: networkSettings(request).vni,
  };
}

/**
 * All that can be said of it without the cluster. Throws what {@link draftNetwork}, `checkSubnets` and {@link specifySubnets} throw.
 */
export function checkNetworkRequest(request: NetworkRequest): void {
  const { internal } = draftNetwork(request);
  const blocks = checkSubnets(request.subnets, [], internal);
  if (blocks.length > 0) specifySubnets(blocks, request);
}

/** The same of another subnet for a network. */
export function checkSubnetRequest({ subnet, gateway, ipRange }: SubnetRequest): void {
  specifySubnets([checkSubnet(subnet, [])], {
    gateways: gateway === undefined ? [] : [gateway],
    ipRanges: ipRange === undefined ? [] : [ipRange],
    auxAddresses: {},
  });
}

/** Throws `invalid-argument`. */
function familiesOf({ ipv4 = true, ipv6 = false, subnets }: NetworkRequest): readonly Family[] {
  const families = [...(ipv4 ? [4 as const] : []), ...(ipv6 ? [6 as const] : [])];
  if (families.length === 0) {
    throw new OverlaydError(
      'invalid-argument',
      'a network has IPv4 or IPv6 or both: add --ipv6, or leave --ipv4=false out',
    );
  }
  for (const subnet of subnets) {
    const family = familyOfBlock(subnet);
    if (family === undefined || families.includes(family)) continue;
    throw new OverlaydError(
      'invalid-argument',
      family === 6
        ? `subnet: ${subnet} is one of IPv6, and the network has IPv4 alone; add --ipv6`
        : `subnet: ${subnet} is one of IPv4, and the network has IPv6 alone; leave --ipv4=false out`,
    );
  }
  return families;
}

/** Also of an address; undefined when it is neither. */
function familyOfBlock(text: string): Family | undefined {
  return parseCidr(text)?.ip.family ?? parseIp(text)?.family;
}

type Belongings = Pick<NetworkRequest, 'gateways' | 'ipRanges' | 'auxAddresses'>;

/**
 * Subnets with what belongs to them: gateway, range and reserved addresses are of the one that they lie in. Gateway by default
 * the first usable address. The blocks, of either family, do not overlap. Throws `gateway-outside-subnet`, `address-out-of-range`,
 * `address-in-use`, `invalid-address`, `invalid-argument`, `subnet-not-canonical`.
 */
export function specifySubnets(blocks: readonly Cidr[], request: Belongings): SubnetSpec[] {
  const gateways = pickGateways(blocks, request.gateways);
  const ranges = pickRanges(blocks, request.ipRanges);
  const aux = pickAuxAddresses(blocks, gateways, request.auxAddresses);
  return blocks.map((block) => {
    const ipRange = ranges.get(block);
    return {
      cidr: formatCidr(block),
      gateway: formatIp(gateways.get(block) ?? usualGateway(block)),
      ...(ipRange === undefined ? {} : { ipRange: formatCidr(ipRange) }),
      auxAddresses: Object.fromEntries(aux.get(block) ?? []),
    };
  });
}

function usualGateway(block: Cidr): Ip {
  return ipAt(block, sizeOf(block) > 2n ? 1n : 0n)!;
}

/** e.g. `the subnet 10.0.1.0/24`. */
function inWords(blocks: readonly Cidr[]): string {
  return `${blocks.length === 1 ? 'the subnet' : 'any of the subnets'} ${blocks.map(formatCidr).join(', ')}`;
}

function pickGateways(blocks: readonly Cidr[], gateways: readonly string[]): Map<Cidr, Ip> {
  const picked = new Map<Cidr, Ip>();
  for (const asked of gateways) {
    const ip = requireIp(asked, 'gateway', onlyFamily(blocks));
    const block = blocks.find((each) => contains(each, ip));
    if (block === undefined) {
      throw new OverlaydError(
        'gateway-outside-subnet',
        `gateway: ${asked} is not in ${inWords(blocks)}; leave --gateway out to get ${blocks.map((each) => formatIp(usualGateway(each))).join(', ')}`,
      );
    }
    const what = sizeOf(block) > 2n && unusableAs(block, ip);
    if (what) throw new OverlaydError('gateway-outside-subnet', `gateway: ${asked} is ${what}`);
    refuseSecond('gateway', picked.has(block), asked, block);
    picked.set(block, ip);
  }
  return picked;
}

/** In words, what an address is that no gateway can have; of IPv6 there is no broadcast. */
function unusableAs(block: Cidr, ip: Ip): string | undefined {
  const offset = offsetOf(block, ip);
  const cidr = formatCidr(block);
  if (ip.family === 6) {
    return offset === 0n
      ? `every router's address in ${cidr} (RFC 4291, section 2.6.1); choose one behind it`
      : undefined;
  }
  return offset === 0n || offset === sizeOf(block) - 1n
    ? `the network or broadcast address of ${cidr}; choose an address between them`
    : undefined;
}

/** Undefined: they are of both. */
function onlyFamily(blocks: readonly Cidr[]): Family | undefined {
  const [first, ...more] = blocks.map(({ ip }) => ip.family);
  return more.every((family) => family === first) ? first : undefined;
}

function pickRanges(blocks: readonly Cidr[], ranges: readonly string[]): Map<Cidr, Cidr> {
  const picked = new Map<Cidr, Cidr>();
  for (const asked of ranges) {
    const range = requireCidr(asked, 'ip-range', onlyFamily(blocks));
    if (!isCanonical(range)) {
      throw new OverlaydError(
        'subnet-not-canonical',
        `ip-range: ${asked} has host bits set; did you mean ${formatCidr(canonical(range))}?`,
      );
    }
    const block = blocks.find((each) => containsCidr(each, range));
    if (block === undefined) {
      throw new OverlaydError('address-out-of-range', `ip-range: ${asked} is out of range: ${rangeWords(blocks)}`);
    }
    refuseSecond('ip-range', picked.has(block), asked, block);
    picked.set(block, range);
  }
  return picked;
}

function refuseSecond(what: string, isSecond: boolean, asked: string, block: Cidr): void {
  if (!isSecond) return;
  throw new OverlaydError(
    'invalid-argument',
    `one --${what} per --subnet is possible, and ${asked} is the second one in ${formatCidr(block)}; leave one out`,
  );
}

function pickAuxAddresses(
  blocks: readonly Cidr[],
  gateways: ReadonlyMap<Cidr, Ip>,
  addresses: NetworkRequest['auxAddresses'],
): Map<Cidr, [name: string, address: string][]> {
  const picked = new Map<Cidr, [string, string][]>();
  const each = Object.entries(addresses).flatMap(([name, of]) =>
    [of].flat().map((address) => [name, address] as const),
  );
  for (const [name, address] of each) {
    const ip = requireIp(address, `aux-address ${name}`, onlyFamily(blocks));
    const block = blocks.find((each) => contains(each, ip));
    if (block === undefined) {
      throw new OverlaydError(
        'address-out-of-range',
        `aux-address ${name}: ${address} is out of range: ${rangeWords(blocks)}`,
      );
    }
    if (compareIps(ip, gateways.get(block) ?? usualGateway(block)) === 0) {
      throw new OverlaydError(
        'address-in-use',
        `aux-address ${name}: address already in use: ${address} is the gateway; choose another one, or another --gateway`,
      );
    }
    const others = picked.get(block) ?? [];
    const isSecond = others.some(([other]) => other === name);
    refuseSecond(`aux-address ${name}`, isSecond, address, block);
    picked.set(block, [...others, [name, formatIp(ip)]]);
  }
  return picked;
}

function rangeWords(blocks: readonly Cidr[]): string {
  return `the ${blocks.length === 1 ? 'subnet is' : 'subnets are'} ${blocks.map(formatCidr).join(', ')}`;
}
