/** What must hold between engines and cluster once nothing happens any more. */
import { expect } from 'vitest';
import { contains, parseCidr } from '../../src/core/cidr.ts';
import { endpointNames } from '../../src/core/engine/endpoint-names.ts';
import { DRIVER } from '../../src/core/engine/engine.ts';
import { hasIpv6Alone } from '../../src/core/engine/offer-problems.ts';
import { HOST, type Route, SERVICE_ADDRESS } from '../../src/core/host-state.ts';
import { parseIp } from '../../src/core/ip.ts';
import { isHandoverLink, namespaceOf, portLinkOf } from '../../src/core/plan/naming.ts';
import { decodeEndpoint } from '../../src/core/record-codec.ts';
import { PREFIX } from '../../src/core/records.ts';
import { hasFamily } from '../../src/core/subnets.ts';
import { type FakeContainer, placeOf } from './fake-containers.ts';
import type { EndpointObject } from './fake-libnetwork.ts';
import { checkQuiet } from './invariants.ts';
import type { SimulatedCluster, SimulatedHost } from './simulated-cluster.ts';

/** All engines and agents run. */
export async function checkEnginesQuiet(cluster: SimulatedCluster): Promise<void> {
  await checkQuiet(cluster);
  const networks = cluster.running[0]!.running.networks.list();
  const claims = cluster.etcd.entries(`${PREFIX}endpoints/`).flatMap(({ value }) => decodeEndpoint(value) ?? []);
  const accounted = new Set<string>();
  for (const host of cluster.running) {
    expect(host.engine.violations, host.record.name).toEqual([]);
    expect(host.line.bugs, host.record.name).toEqual([]);
    const offered = [...host.engine.objects.values()].filter(({ driver }) => driver === DRIVER);
    const isOwnName = (name: string) => networks.some((network) => network.name === name);
    const own = offered.map(({ name }) => name).filter(isOwnName);
    const possible = networks.filter((network) => hasIpv6Alone(host.engine.version) || hasFamily(network, 4));
    expect(own.sort(), host.record.name).toEqual(possible.map(({ name }) => name));
    const bindings = host.disk.engineMemory?.networks ?? {};
    expect(Object.keys(bindings).sort(), host.record.name).toEqual(offered.map(({ id }) => id).sort());
    for (const container of host.engine.containers.values()) {
      for (const [network, { endpoint, aliases = [] }] of container.attachments) {
        if (!endpoint) continue;
        const record = checkEndpoint(host, container, endpoint, aliases);
        expect(record.networkId).toBe(bindings[endpoint.network.id]?.networkId);
        if (isOwnName(network)) expect(networks.find(({ id }) => id === record.networkId)?.name).toBe(network);
        accounted.add(record.id);
      }
    }
    for (const { record, container, engine } of host.running.local.all()) {
      if (engine) continue;
      expect(host.kernel.hasContainer(container.path), container.text).toBe(true);
      accounted.add(record.id);
    }
    const saved = host.disk.state?.endpoints.map(({ record }) => record.id).sort();
    const held = host.running.local.all().map(({ record }) => record.id);
    expect(saved, host.record.name).toEqual(held.sort());
    const waiting = [...host.kernel.machine.snapshot(HOST)!.links.keys()].filter(isHandoverLink);
    expect(waiting, host.record.name).toEqual([]);
  }
  expect(claims.map(({ id }) => id).sort()).toEqual([...accounted].sort());
}

/** The endpoint as the engine sees it is the one that the cluster sees, and its link is where it belongs. */
function checkEndpoint(
  host: SimulatedHost,
  container: FakeContainer,
  endpoint: EndpointObject,
  aliases: readonly string[],
) {
  const what = `${container.name} on ${host.record.name}`;
  const local = host.running.local.byEngine(endpoint.id);
  expect(local, what).toBeDefined();
  const { record, engine, ifname } = local!;
  const asSeen = record.addresses.map(({ ip, subnet }) => `${ip}/${subnet.split('/')[1]}`);
  expect(asSeen, what).toEqual([endpoint.address, endpoint.ipv6Address].flatMap((cidr) => cidr ?? []));
  expect(record.mac, what).toBe(endpoint.mac);
  expect(engine?.containerId, what).toBe(container.id);
  expect(local!.container.path, what).toBe(placeOf(container));
  const shortId = container.id.slice(0, 12);
  const names = endpointNames(container, [...aliases, shortId]);
  expect({ name: record.name, aliases: record.aliases }, what).toEqual(names);
  for (const { ip } of record.addresses)
    expect(container.hosts, what).toContain(`\n${ip.includes(':') ? ip : ip.padEnd('::ffff:'.length + ip.length)}\t`);
  const { machine } = host.kernel;
  const vni = host.running.view.network(record.networkId)!.vni;
  const inside = machine.snapshot(placeOf(container))!;
  const link = inside.links.get(ifname);
  const port = machine.snapshot(namespaceOf(vni))?.links.get(portLinkOf(record.id));
  expect(link, what).toMatchObject({ mac: record.mac, up: true, peerIndex: port?.index });
  expect(port, what).toMatchObject({ master: 'br0', up: true });
  const service = parseIp(SERVICE_ADDRESS)!;
  const toService = ({ destination }: Route) => {
    const block = parseCidr(destination);
    return block !== undefined && contains(block, service);
  };
  if (endpoint.address !== undefined) expect(inside.routes.filter(toService), what).not.toEqual([]);
  for (const { ip, subnet } of record.addresses) {
    const prefix = Number(subnet.split('/')[1]);
    expect(inside.addresses, what).toContainEqual({ link: ifname, address: ip, prefix });
  }
  return record;
}
