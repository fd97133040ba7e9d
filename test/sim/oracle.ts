/**
 * What kernels and responders have to hold, worked out from etcd's content alone: nothing of the agent's own planning is
 * asked, so that what it forgets to want is found as well.
 */
import { expect } from 'vitest';
import {
  type EndpointRecord,
  firstAddress,
  type NetworkRecord,
  type NodeRecord,
  PREFIX,
} from '../../src/core/records.ts';
import { addressesIn, question, read } from '../unit/core/dns/messages.ts';
import type { SimulatedCluster, SimulatedHost } from './simulated-cluster.ts';

interface Truth {
  readonly networks: readonly NetworkRecord[];
  readonly nodes: ReadonlyMap<string, NodeRecord>;
  /** By network id. */
  readonly endpoints: ReadonlyMap<string, readonly EndpointRecord[]>;
}

/** Of what members have to agree upon; leases and claims of names are etcd's alone. */
const SHARED = new RegExp(`^${PREFIX}(nodes|networks|endpoints|addresses|quarantine)/`);

/** All is quiet and every agent runs. */
export async function checkAgainstTruth(cluster: SimulatedCluster): Promise<void> {
  const truth = truthOf(cluster);
  const records = cluster.etcd
    .entries(PREFIX)
    .filter(({ key }) => SHARED.test(key))
    .map(({ key, value }) => `${key} ${value}`)
    .sort();
  for (const host of cluster.running) {
    expect(host.running.records(SHARED), host.record.name).toEqual(records);
    checkRows(host, truth);
    await checkNames(host, truth);
  }
}

function truthOf(cluster: SimulatedCluster): Truth {
  const parsed = (kind: string) => cluster.etcd.entries(`${PREFIX}${kind}/`).map(({ value }) => JSON.parse(value));
  const nodes: NodeRecord[] = parsed('nodes');
  return {
    networks: parsed('networks'),
    nodes: new Map(nodes.map((node) => [node.id, node])),
    endpoints: Map.groupBy(parsed('endpoints') as EndpointRecord[], ({ networkId }) => networkId),
  };
}

/** Neighbours and FDB rows of each namespace, and which namespaces there are. */
function checkRows({ kernel, record: { id, name: host } }: SimulatedHost, { networks, nodes, endpoints }: Truth): void {
  const { machine } = kernel;
  const wanted = networks.filter(({ id: networkId }) => endpoints.get(networkId)?.some(({ nodeId }) => nodeId === id));
  const there = machine.places().filter((place) => place.startsWith('ovl-'));
  expect(there.sort(), host).toEqual(wanted.map(({ vni }) => `ovl-${vni}`).sort());
  for (const network of wanted) {
    const what = `network ${network.name} on ${host}`;
    const all = endpoints.get(network.id)!;
    const { neighbours, fdb } = machine.snapshot(`ovl-${network.vni}`)!;
    const rows = neighbours.filter(({ link }) => link === 'vx0').map(({ address, mac }) => `${address} ${mac}`);
    expect(rows.sort(), what).toEqual(
      all.flatMap(({ addresses, mac }) => addresses.map(({ ip }) => `${ip} ${mac}`)).sort(),
    );
    const [local, remote] = [all.filter(({ nodeId }) => nodeId === id), all.filter(({ nodeId }) => nodeId !== id)];
    const tunnels = fdb.filter(({ link }) => link === 'vx0').map(({ mac, vtep }) => `${mac} ${vtep}`);
    const vtepOf = (nodeId: string) => nodes.get(nodeId)?.vtep;
    const ends = remote.map(({ mac, nodeId }) => `${mac} ${vtepOf(nodeId)}`);
    const hosts = [...new Set(remote.map(({ nodeId }) => nodeId))];
    const floods = [
      ...remote.map(({ mac }) => `${mac} undefined`),
      ...hosts.map((nodeId) => `00:00:00:00:00:00 ${vtepOf(nodeId)}`),
    ];
    const expected = network.options.multicast === 'true' ? [...ends, ...floods] : ends;
    expect(tunnels.sort(), what).toEqual(expected.sort());
    const ports = fdb.filter(({ link }) => link !== 'vx0').map(({ mac }) => mac);
    expect(ports.sort(), what).toEqual(local.map(({ mac }) => mac).sort());
  }
}

/** What each container of the host is answered to every name of its networks. */
async function checkNames({ names, record: { id, name: host } }: SimulatedHost, { endpoints }: Truth): Promise<void> {
  const ask = async (networkId: string, address: string, name: string, type: 'A' | 'AAAA') =>
    read(await names.handler(question(name, type), { networkId, address, transport: 'tcp' }));
  for (const [networkId, all] of endpoints) {
    const asker = all.find(({ nodeId }) => nodeId === id);
    if (!asker) continue;
    const addresses = new Map<string, string[]>();
    for (const { name, aliases, addresses: own } of all) {
      for (const each of new Set([name, ...aliases].map((text) => text.toLowerCase()))) {
        addresses.set(each, [...(addresses.get(each) ?? []), ...own.map(({ ip }) => ip)]);
      }
    }
    for (const [name, expected] of addresses) {
      for (const type of ['A', 'AAAA'] as const) {
        const answered = addressesIn(await ask(networkId, firstAddress(asker), name, type));
        const ofType = expected.filter((address) => address.includes(':') === (type === 'AAAA'));
        expect(answered.sort(), `${type} ${name} on ${host}`).toEqual(ofType.sort());
      }
    }
    expect((await ask(networkId, firstAddress(asker), 'nobody', 'A')).rcode, host).toBe('NXDOMAIN');
  }
}
