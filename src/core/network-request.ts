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
  readonly subnets: readonly string[];
  readonly gateways: readonly string[];
  readonly ipRanges: readonly string[];
  readonly auxAddresses: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
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
  if (request.subnets.length > 1) {
    throw new OverlaydError(
      'invalid-argument',
      'one IPv4 --subnet per network is supported; create a second network for the other one',
    );
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

/** A subnet with what belongs to it. Gateway by default the first usable address. */
export function specifySubnet(
  block: Cidr,
  request: Pick<NetworkRequest, 'gateways' | 'ipRanges' | 'auxAddresses'>,
): SubnetSpec {
  const cidr = formatCidr(block);
  const gateway = pickGateway(block, request.gateways, cidr);
  const ipRange = pickRange(block, request.ipRanges, cidr);
  for (const [name, address] of Object.entries(request.auxAddresses)) {
    const ip = requireIp(address, `aux-address ${name}`, block.ip.family);
    if (!contains(block, ip)) {
      throw new OverlaydError(
        'address-out-of-range',
        `aux-address ${name}: ${address} is out of range: the subnet is ${cidr}`,
      );
    }
    if (compareIps(ip, gateway) === 0) {
      throw new OverlaydError(
        'address-in-use',
        `aux-address ${name}: address already in use: ${address} is the gateway; choose another one, or another --gateway`,
      );
    }
  }
  return {
    cidr,
    gateway: formatIp(gateway),
    ...(ipRange === undefined ? {} : { ipRange }),
    auxAddresses: request.auxAddresses,
  };
}

function pickGateway(block: Cidr, gateways: readonly string[], cidr: string): Ip {
  const [asked, ...more] = gateways;
  if (more.length > 0) throw new OverlaydError('invalid-argument', 'one --gateway per --subnet is possible');
  const usual = ipAt(block, sizeOf(block) > 2n ? 1n : 0n)!;
  if (asked === undefined) return usual;
  const ip = requireIp(asked, 'gateway', block.ip.family);
  const offset = offsetOf(block, ip);
  if (offset === undefined) {
    throw new OverlaydError(
      'gateway-outside-subnet',
      `gateway: ${asked} is not in the subnet ${cidr}; leave --gateway out to get ${formatIp(usual)}`,
    );
  }
  if (sizeOf(block) > 2n && (offset === 0n || offset === sizeOf(block) - 1n)) {
    throw new OverlaydError(
      'gateway-outside-subnet',
      `gateway: ${asked} is the network or broadcast address of ${cidr}; choose an address between them`,
    );
  }
  return ip;
}

function pickRange(block: Cidr, ranges: readonly string[], cidr: string): string | undefined {
  const [asked, ...more] = ranges;
  if (more.length > 0) throw new OverlaydError('invalid-argument', 'one --ip-range per --subnet is possible');
  if (asked === undefined) return undefined;
  const range = requireCidr(asked, 'ip-range', block.ip.family);
  if (!isCanonical(range)) {
    throw new OverlaydError(
      'subnet-not-canonical',
      `ip-range: ${asked} has host bits set; did you mean ${formatCidr(canonical(range))}?`,
    );
  }
  if (!containsCidr(block, range)) {
    throw new OverlaydError('address-out-of-range', `ip-range: ${asked} is out of range: the subnet is ${cidr}`);
  }
  return formatCidr(range);
}
