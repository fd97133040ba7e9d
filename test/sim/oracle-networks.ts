/** Of the oracle: namespaces of networks, what is in them, and the insides of containers. */
import { expect } from 'vitest';
import { isHandedOver, type LocalEndpoint } from '../../src/core/container.ts';
import type { EndpointRecord, NetworkRecord, NodeRecord } from '../../src/core/records.ts';
import { isOfHost } from './exposures.ts';
import type { Space } from './fake-machine.ts';
import type { SimulatedHost } from './simulated-cluster.ts';
import { insideTunnels, isEncrypted, isIpv6, type Truth } from './truth.ts';

const DEFAULTS = { 4: 'default', 6: '::/0' } as const;

/** Which namespaces there are, and each of them. */
export function checkNetworks(host: SimulatedHost, truth: Truth): void {
  const { machine } = host.kernel;
  const here = networksOn(host, truth);
  const there = machine.places().filter((place) => /^ovl-\d/.test(place));
  expect(there.sort(), host.record.name).toEqual(here.map(({ vni }) => `ovl-${vni}`).sort());
  for (const network of here) {
    const what = `network ${network.name} on ${host.record.name}`;
    const space = machine.snapshot(`ovl-${network.vni}`)!;
    checkFabric(space, network, host, { truth, what });
    checkRows(space, network, host, { truth, what });
    checkPorts(space, network, host, { truth, what });
  }
  for (const endpoint of host.running.local.all()) checkInside(host, endpoint, truth);
}

/** Those that have an endpoint there. */
export function networksOn({ record: { id } }: SimulatedHost, { networks, endpoints }: Truth): NetworkRecord[] {
  return networks.filter(({ id: networkId }) => endpoints.get(networkId)?.some(({ nodeId }) => nodeId === id));
}

/** What the host itself has on a network. */
export function exposedOn(
  { record: { id } }: SimulatedHost,
  network: { readonly id: string },
  { endpoints }: Truth,
): EndpointRecord | undefined {
  return endpoints.get(network.id)?.find((endpoint) => endpoint.nodeId === id && isOfHost(endpoint));
}

interface Context {
  readonly truth: Truth;
  readonly what: string;
}

function checkFabric(space: Space, network: NetworkRecord, host: SimulatedHost, { truth, what }: Context): void {
  const { record } = host;
  const exposed = exposedOn(host, network, truth);
  const encrypted = isEncrypted(network);
  const self = truth.members.get(record.id)!;
  const { links, addresses, routes } = space;
  expect(links.get('br0'), what).toMatchObject({ kind: 'bridge', up: true });
  expect(links.get('vx0'), what).toMatchObject({ kind: 'vxlan', up: true, master: 'br0' });
  expect(links.get('vx0')?.vxlan, what).toMatchObject({
    vni: network.vni,
    local: encrypted ? undefined : self.vtep,
    port: encrypted ? 4_789 : self.dataPathPort,
    socketAt: encrypted ? 'ovl-wg' : '',
    learning: false,
  });
  expect(links.has('up0'), what).toBe(!network.internal || exposed !== undefined);
  const toHost = routes.filter(({ destination }) => !/^(default|::\/0)$/.test(destination));
  expect(toHost.map(({ destination, link }) => `${destination} ${link}`).sort(), what).toEqual(
    (exposed?.addresses ?? []).map(({ ip }) => `${ip} up0`).sort(),
  );
  const handed = space.filter?.chains.some(({ name }) => name === 'inward') ?? false;
  expect(handed, `the host is behind its MAC in ${what}`).toBe(exposed !== undefined);
  const gateways = network.subnets.map(({ cidr, gateway }) => `${gateway}/${cidr.split('/')[1]}`);
  const own = addresses.filter(({ link, address }) => link === 'br0' && !/^(fe80:|169\.254\.)/.test(address));
  expect(own.map(({ address, prefix }) => `${address}/${prefix}`).sort(), what).toEqual(gateways.sort());
  const mtu = mtuOf(network, truth);
  if (mtu === undefined) return;
  for (const link of links.values()) if (link.name !== 'lo') expect(link.mtu, `${link.name} of ${what}`).toBe(mtu);
}

/** Undefined: the network has an option for it. What goes through tunnels is padded, which must not make it too large. */
function mtuOf(network: NetworkRecord, { members }: Truth): number | undefined {
  if (network.options.mtu ?? network.options['com.docker.network.driver.mtu']) return undefined;
  const encrypted = isEncrypted(network);
  const part = [...members.values()].filter(({ nat }) => encrypted || !nat);
  const underlay = Math.min(...part.map(({ underlayMtu }) => underlayMtu), part.length === 0 ? 1_500 : Infinity);
  const ip = part.some(({ vtep }) => isIpv6(vtep)) ? 40 : 20;
  const room = encrypted ? largestWithin(underlay - ip - 8 - 32) - 20 : underlay - ip;
  const least = network.subnets.some(({ cidr }) => isIpv6(cidr)) ? 1_280 : 576;
  return Math.max(least, room - 8 - 8 - 14);
}

/** The largest packet that wireguard-go does not pad to more bytes than that: to 16, beyond multiples of 1,420. */
function largestWithin(bytes: number): number {
  for (let size = bytes; ; size--) {
    const beyond = size % 1_420;
    if (size - beyond + Math.min(1_420, Math.ceil(beyond / 16) * 16) <= bytes) return size;
  }
}

/** Neighbours of all endpoints; where the tunnel leads for those of others, and the bridge for own ones. */
function checkRows(space: Space, network: NetworkRecord, host: SimulatedHost, { truth, what }: Context): void {
  const all = truth.endpoints.get(network.id)!;
  const { id } = host.record;
  const { neighbours, fdb } = space;
  const rows = neighbours.filter(({ link }) => link === 'vx0').map(({ address, mac }) => `${address} ${mac}`);
  const isReached = ({ nodeId }: EndpointRecord) => nodeId === id || endOf(nodeId) !== undefined;
  const endOf = (nodeId: string) => tunnelEndOf(truth.members.get(nodeId), isEncrypted(network));
  expect(rows.sort(), what).toEqual(
    all
      .filter(isReached)
      .flatMap(({ addresses, mac }) => addresses.map(({ ip }) => `${ip} ${mac}`))
      .sort(),
  );
  const local = all.filter(({ nodeId }) => nodeId === id);
  const remote = all.filter(({ nodeId }) => nodeId !== id && endOf(nodeId) !== undefined);
  const tunnels = fdb.filter(({ link }) => link === 'vx0').map(({ mac, vtep }) => `${mac} ${vtep}`);
  const ends = remote.map(({ mac, nodeId }) => `${mac} ${endOf(nodeId)}`);
  const floods = [
    ...remote.map(({ mac }) => `${mac} undefined`),
    ...new Set(remote.map(({ nodeId }) => `00:00:00:00:00:00 ${endOf(nodeId)}`)),
  ];
  expect(tunnels.sort(), what).toEqual([...ends, ...(isMulticast(network) ? floods : [])].sort());
  const ports = fdb.filter(({ link }) => link !== 'vx0').map(({ link, mac }) => `${link} ${mac}`);
  const contained = local.filter((endpoint) => !isOfHost(endpoint));
  expect(ports.sort(), what).toEqual(contained.map(({ id: own, mac }) => `e${own.slice(0, 12)} ${mac}`).sort());
}

function isMulticast({ options }: NetworkRecord): boolean {
  return options.multicast === 'true';
}

/** Where a member's tunnel ends; undefined: it is not to be reached so. */
function tunnelEndOf(node: NodeRecord | undefined, encrypted: boolean): string | undefined {
  if (!encrypted) return node?.nat ? undefined : node?.vtep;
  const number = node?.wireguard?.keys[0]?.number;
  return number === undefined ? undefined : insideTunnels(number).vtep;
}

/** A port for each own endpoint, which may send as itself and hears what is its own. */
function checkPorts(space: Space, network: NetworkRecord, host: SimulatedHost, { truth, what }: Context): void {
  const here = truth.endpoints.get(network.id)!.filter(({ nodeId }) => nodeId === host.record.id);
  const local = here.filter((endpoint) => !isOfHost(endpoint));
  const ports = [...space.links.values()].filter(({ kind, name }) => kind === 'veth' && name !== 'up0');
  const linkOf = ({ id }: EndpointRecord) => `e${id.slice(0, 12)}`;
  expect(ports.map(({ name }) => name).sort(), what).toEqual(local.map(linkOf).sort());
  const isMany = isMulticast(network);
  for (const { master, name, port, up } of ports) {
    const flooded = { learning: false, flood: false, multicastFlood: isMany, broadcastFlood: isMany };
    expect({ master, up, ...port }, `${name} of ${what}`).toMatchObject({ master: 'br0', up: true, ...flooded });
  }
  const leases = (set: string) =>
    [...(space.filter?.sets.find(({ name }) => name === set)?.elements ?? [])].filter((text) => !/ fe80:/.test(text));
  for (const [set, isOf] of [
    ['leases', (ip: string) => !isIpv6(ip)],
    ['leases6', isIpv6],
  ] as const) {
    const wanted = local.flatMap((endpoint) =>
      endpoint.addresses.filter(({ ip }) => isOf(ip)).map(({ ip }) => `${linkOf(endpoint)} ${endpoint.mac} ${ip}`),
    );
    expect(leases(set).sort(), `${set} of ${what}`).toEqual(wanted.sort());
  }
  expect(space.filter?.chains.find(({ name }) => name === 'prerouting')?.policy, what).toBe('drop');
}

/** What an engine sets up inside is the engine's. */
function checkInside(host: SimulatedHost, { container, engine, ifname, record }: LocalEndpoint, truth: Truth): void {
  const endpoint = truth.endpoints.get(record.networkId)?.find(({ id }) => id === record.id);
  if (!endpoint || engine || isHandedOver(container) || isOfHost(record)) return;
  const what = `${record.name} in ${container.path} on ${host.record.name}`;
  const inside = host.kernel.machine.snapshot(container.path);
  expect(inside?.links.get(ifname), what).toMatchObject({ kind: 'veth', mac: endpoint.mac, up: true });
  const network = truth.networks.find(({ id }) => id === endpoint.networkId)!;
  const own = inside!.addresses.filter(({ address, link }) => link === ifname && !address.startsWith('fe80:'));
  const prefixOf = (cidr: string) => cidr.split('/')[1];
  expect(own.map(({ address, prefix }) => `${address}/${prefix}`).sort(), what).toEqual(
    endpoint.addresses.map(({ ip, subnet }) => `${ip}/${prefixOf(subnet)}`).sort(),
  );
  for (const family of [4, 6] as const) {
    const routes = inside!.routes.filter(({ destination }) => destination === DEFAULTS[family]);
    const isTheirs = routes.some(({ protocol }) => protocol !== routes[0]?.protocol);
    const address = endpoint.addresses.find(({ ip }) => isIpv6(ip) === (family === 6));
    if (isTheirs) continue;
    const gateway = network.subnets.find(({ cidr }) => cidr === address?.subnet)?.gateway;
    const carries = gateway !== undefined && wayOutOf(host, container.identity, family, truth) === endpoint.id;
    const through = routes.filter(({ link }) => link === ifname).map((route) => route.gateway);
    expect(through, `default route of IPv${family} of ${what}`).toEqual(carries ? [gateway] : []);
  }
}

/** Of a container's endpoints that with the way out: the highest priority, then the first by network and by interface. */
function wayOutOf(host: SimulatedHost, identity: string, family: 4 | 6, truth: Truth): string | undefined {
  const all = host.running.local.all().flatMap(({ container, gwPriority = 0, ifname, record }) => {
    const network = truth.networks.find(({ id }) => id === record.networkId);
    const endpoint = truth.endpoints.get(record.networkId)?.find(({ id }) => id === record.id);
    if (container.identity !== identity || !network || network.internal) return [];
    if (!endpoint?.addresses.some(({ ip }) => isIpv6(ip) === (family === 6))) return [];
    return [{ id: record.id, gwPriority, order: `${network.name}\0${ifname}` }];
  });
  all.sort((a, b) => b.gwPriority - a.gwPriority || (a.order < b.order ? -1 : 1));
  return all[0]?.id;
}
