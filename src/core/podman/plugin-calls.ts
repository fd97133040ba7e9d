/**
 * What netavark hands a plugin on its standard input, and what it is answered. Source: netavark, plugin-API.md; as seen with
 * 1.14 and 1.17.
 */
import { parseCidr } from '../cidr.ts';
import { DRIVER, ID_OPTION, NETWORK_OPTION } from '../engine/engine.ts';
import { OverlaydError } from '../errors.ts';
import { formatIp, type Ip, parseIp } from '../ip.ts';
import type { NetworkRequest } from '../network-request.ts';
import { isObject, ORIGIN_LABEL, type PodmanNetwork, parsePodmanNetwork } from './network-file.ts';

export interface SetupCall {
  /** 64 hex characters. */
  readonly containerId: string;
  readonly containerName: string;
  readonly network: PodmanNetwork;
  readonly aliases: readonly string[];
  readonly ifname: string;
  readonly ip: string | undefined;
  readonly ip6: string | undefined;
  readonly mac: string | undefined;
  readonly options: Readonly<Record<string, string>>;
  /** Of the container, whatever networks it has: every one of them is told of all. */
  readonly ports: readonly PortMapping[];
}

/** `range` ports from these on. */
export interface PortMapping {
  readonly containerPort: number;
  readonly hostPort: number;
  /** Empty: every address of the host. */
  readonly hostIp: string;
  readonly protocol: string;
  readonly range: number;
}

/** Throws `invalid-argument`. */
export function parseCreateCall(text: string): PodmanNetwork {
  return readable(() => parsePodmanNetwork(JSON.parse(text)));
}

/** Throws `invalid-argument`. */
export function parseSetupCall(text: string): SetupCall {
  return readable(() => {
    const call: unknown = JSON.parse(text);
    if (!isObject(call)) throw new Error('it is no object');
    const options = call.network_options ?? {};
    if (!isObject(options)) throw new Error('network_options is no object');
    // A reload gives an address that was asked for twice, since the container has it as well.
    const addresses = [...new Set(texts(options.static_ips, 'static_ips'))];
    return {
      containerId: requireText(call.container_id, 'container_id'),
      containerName: requireText(call.container_name, 'container_name'),
      network: parsePodmanNetwork(call.network),
      aliases: texts(options.aliases, 'aliases'),
      ifname: requireText(options.interface_name, 'interface_name'),
      ip: onlyOne(addresses, 4),
      ip6: onlyOne(addresses, 6),
      mac: typeof options.static_mac === 'string' && options.static_mac !== '' ? options.static_mac : undefined,
      options: mapOf(options.options, 'options'),
      ports: parsePorts(call.port_mappings),
    };
  });
}

/** Which of the cluster's networks it is, by id or name. */
export function networkRefOf({ name, options }: PodmanNetwork): string {
  return options?.[ID_OPTION] ?? options?.[NETWORK_OPTION] ?? name;
}

/** What a person asks of a network of the cluster by `podman network create`. Throws `invalid-argument`, `unknown-option`. */
export function networkRequestOf(asked: PodmanNetwork): NetworkRequest {
  if (asked.network_interface) {
    throw refuse(`--interface-name: a network's bridge is br0 in the namespace ovl-VNI of each host; leave it out`);
  }
  if ((asked.routes ?? []).length > 0) throw refuse('--route: overlayd gives containers no other routes; leave it out');
  const ipam = asked.ipam_options?.driver ?? 'none';
  if (ipam !== 'none' && ipam !== 'host-local') {
    throw refuse(`--ipam-driver ${ipam}: the addresses of a network of overlayd are the cluster's; leave it out`);
  }
  const { [NETWORK_OPTION]: name = asked.name, [ID_OPTION]: id, ...options } = asked.options ?? {};
  if (id !== undefined)
    throw refuse(`option ${ID_OPTION} is the agent's own; name the network by -o ${NETWORK_OPTION}=NAME`);
  const servers = asked.network_dns_servers ?? [];
  if (servers.length > 0 && options.dns !== undefined)
    throw refuse('--dns and -o dns say the same thing; give one of them');
  const { [ORIGIN_LABEL]: _, ...labels } = asked.labels ?? {};
  const subnets = asked.subnets ?? [];
  const hasFamily = (family: 4 | 6) => subnets.some(({ subnet }) => parseCidr(subnet)?.ip.family === family);
  return {
    name,
    attachable: true,
    internal: asked.internal ?? false,
    ipv4: hasFamily(4) || !hasFamily(6),
    ipv6: (asked.ipv6_enabled ?? false) || hasFamily(6),
    subnets: subnets.map(({ subnet }) => subnet),
    gateways: subnets.flatMap(({ gateway }) => gateway || []),
    ipRanges: subnets.flatMap(({ subnet, lease_range: range }) =>
      range?.start_ip || range?.end_ip ? rangeOf(subnet, range.start_ip ?? '', range.end_ip ?? '') : [],
    ),
    auxAddresses: {},
    labels,
    options: servers.length > 0 ? { ...options, dns: servers.join(',') } : options,
  };
}

/** Podman takes `--ip-range` apart into its first address but the block's own, and its last one. */
function rangeOf(subnet: string, first: string, last: string): string {
  const [from, to] = [parseIp(first), parseIp(last)];
  const width = parseCidr(subnet)?.ip.family === 6 ? 128 : 32;
  for (let prefix = 0; from && to && prefix <= width; prefix++) {
    const size = 1n << BigInt(width - prefix);
    const base = (from.value / size) * size;
    const begins = from.value === base || from.value === base + 1n;
    const ends = to.value === base + size - 1n || to.value === base + size - 2n;
    if (begins && ends) return `${formatIp({ ...from, value: base } as Ip)}/${prefix}`;
  }
  throw refuse(`--ip-range: ${first}-${last} is no block of addresses; write a CIDR, e.g. --ip-range ${subnet}`);
}

export interface SetupAnswer {
  readonly ifname: string;
  readonly mac: string;
  readonly addresses: readonly {
    readonly address: string;
    readonly prefix: number;
    readonly gateway: string | undefined;
  }[];
  readonly nameServers: readonly string[];
}

export function renderSetupAnswer({ ifname, mac, addresses, nameServers }: SetupAnswer): string {
  const subnets = addresses.map(({ address, prefix, gateway }) => ({
    ipnet: `${address}/${prefix}`,
    ...(gateway === undefined ? {} : { gateway }),
  }));
  return line({
    dns_search_domains: [],
    dns_server_ips: nameServers,
    interfaces: { [ifname]: { mac_address: mac, subnets } },
  });
}

export function renderInfo(version: string): string {
  return line({ version, api_version: '1.0.0' });
}

export function renderRefusal(error: OverlaydError): string {
  return line({ error: `${error.message} (${error.code})` });
}

export function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

function parsePorts(value: unknown): PortMapping[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error('port_mappings is no list');
  return value.map((each: unknown) => {
    if (!isObject(each)) throw new Error('port_mappings has something that is no mapping');
    const number = (key: string, fallback: number) => (typeof each[key] === 'number' ? each[key] : fallback);
    return {
      containerPort: number('container_port', 0),
      hostPort: number('host_port', 0),
      hostIp: typeof each.host_ip === 'string' ? each.host_ip : '',
      protocol: typeof each.protocol === 'string' && each.protocol !== '' ? each.protocol : 'tcp',
      range: Math.max(1, number('range', 1)),
    };
  });
}

function onlyOne(addresses: readonly string[], family: 4 | 6): string | undefined {
  const [first, second] = addresses.filter((each) => parseIp(each)?.family === family);
  if (second === undefined) return first;
  throw refuse(`--ip: a container has one address of IPv${family} on a network; ${first} and ${second} are asked for`);
}

function texts(value: unknown, what: string): string[] {
  const list = value ?? [];
  if (!Array.isArray(list) || !list.every((each) => typeof each === 'string'))
    throw new Error(`${what} is no list of texts`);
  return list;
}

function mapOf(value: unknown, what: string): Record<string, string> {
  const map = value ?? {};
  if (!isObject(map) || !Object.values(map).every((each) => typeof each === 'string')) {
    throw new Error(`${what} is no list of texts by name`);
  }
  return map as Record<string, string>;
}

function requireText(value: unknown, what: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`${what} is missing`);
}

function readable<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof OverlaydError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse(
      `the ${DRIVER} plugin of netavark was given what it cannot read: ${reason}; Podman 5 and netavark 1.6 or later have these calls`,
    );
  }
}

function refuse(message: string): OverlaydError {
  return new OverlaydError('invalid-argument', message);
}
