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
  requireCidr,
  sizeOf,
} from './cidr.ts';
import { OverlaydError } from './errors.ts';
import { compareIps, formatIp, type Ip, requireIp } from './ip.ts';
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
  readonly auxAddresses: Readonly<Record<string, string>>;
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
}

/** Throws `invalid-name`, `invalid-argument`, `unknown-option`. */
export function draftNetwork(request: NetworkRequest): NetworkDraft {
  checkNetworkName(request.name);
  checkOptions(request.options, request);
  for (const [what, count] of [
    ['gateway', request.gateways.length],
    ['ip-range', request.ipRanges.length],
  ] as const) {
    if (count > 0 && request.subnets.length === 0) {
      throw new OverlaydError('invalid-argument', `--${what} needs a --subnet that it lies in`);
    }
  }
  if (Object.keys(request.auxAddresses).length > 0 && request.subnets.length === 0) {
    throw new OverlaydError('invalid-argument', '--aux-address needs a --subnet that it lies in');
  }
  return {
    name: request.name,
    attachable: request.attachable ?? true,
    internal: request.internal,
    labels: request.labels,
    options: request.options,
    vni: networkSettings(request).vni,
  };
}

type Belongings = Pick<NetworkRequest, 'gateways' | 'ipRanges' | 'auxAddresses'>;

/**
 * Subnets with what belongs to them: gateway, range and reserved addresses are of the one that they lie in. Gateway by default
 * the first usable address. The blocks do not overlap. Throws `gateway-outside-subnet`, `address-out-of-range`,
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
    const ip = requireIp(asked, 'gateway', blocks[0]!.ip.family);
    const block = blocks.find((each) => contains(each, ip));
    if (block === undefined) {
      throw new OverlaydError(
        'gateway-outside-subnet',
        `gateway: ${asked} is not in ${inWords(blocks)}; leave --gateway out to get ${blocks.map((each) => formatIp(usualGateway(each))).join(', ')}`,
      );
    }
    const offset = offsetOf(block, ip);
    if (sizeOf(block) > 2n && (offset === 0n || offset === sizeOf(block) - 1n)) {
      throw new OverlaydError(
        'gateway-outside-subnet',
        `gateway: ${asked} is the network or broadcast address of ${formatCidr(block)}; choose an address between them`,
      );
    }
    refuseSecond('gateway', picked.has(block), asked, block);
    picked.set(block, ip);
  }
  return picked;
}

function pickRanges(blocks: readonly Cidr[], ranges: readonly string[]): Map<Cidr, Cidr> {
  const picked = new Map<Cidr, Cidr>();
  for (const asked of ranges) {
    const range = requireCidr(asked, 'ip-range', blocks[0]!.ip.family);
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

function refuseSecond(what: 'gateway' | 'ip-range', isSecond: boolean, asked: string, block: Cidr): void {
  if (!isSecond) return;
  throw new OverlaydError(
    'invalid-argument',
    `one --${what} per --subnet is possible, and ${asked} is the second one in ${formatCidr(block)}; leave one out`,
  );
}

function pickAuxAddresses(
  blocks: readonly Cidr[],
  gateways: ReadonlyMap<Cidr, Ip>,
  addresses: Readonly<Record<string, string>>,
): Map<Cidr, [name: string, address: string][]> {
  const picked = new Map<Cidr, [string, string][]>();
  for (const [name, address] of Object.entries(addresses)) {
    const ip = requireIp(address, `aux-address ${name}`, blocks[0]!.ip.family);
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
    picked.set(block, [...(picked.get(block) ?? []), [name, address]]);
  }
  return picked;
}

function rangeWords(blocks: readonly Cidr[]): string {
  return `the ${blocks.length === 1 ? 'subnet is' : 'subnets are'} ${blocks.map(formatCidr).join(', ')}`;
}
