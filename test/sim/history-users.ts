/** Steps of a history: what users do. */

import { addStaticNames, removeStaticNames } from '../../src/agent/names/static-names.ts';
import { proposedMac } from '../../src/core/endpoint-mac.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { KEEPER } from './admission.ts';
import { expose, exposingOf } from './exposures.ts';
import { evict, FAMILIES, host, kindOf, pick, type WeightedStep } from './history.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

/** Of IPv4 and of IPv6, few addresses each. */
const SUBNETS = (nth: number) => [`10.${nth}.0.0/28`, `fd00:0:0:${nth}::/124`];
const MOST_HOSTS = 6;
const forever = new AbortController().signal;

function namesDeps({ running: { commit, networks, view }, store }: SimulatedHost) {
  return { store, commit, networks, view };
}

export const USERS: readonly WeightedStep[] = [
  [
    2,
    'create',
    (world) => {
      const name = `n${world.networks++ % 6}`;
      const asked = world.random.next() < 0.3 ? Math.floor(world.random.next() * 3) : undefined;
      const families = pick(world, FAMILIES)!;
      const subnets =
        asked === undefined ? [] : SUBNETS(asked).filter((_, at) => (at === 0 ? families.ipv4 : families.ipv6));
      return host(world)?.running.networks.create(networkRequest(name, { ...families, subnets, ...kindOf(name) }));
    },
  ],
  [
    1,
    'remove',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      return network && at.running.networks.remove(network.id, forever);
    },
  ],
  [
    10,
    'connect',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      if (!network) return undefined;
      const aliases = world.random.next() < 0.5 ? ['shared'] : [];
      const wanted = { network: network.id, container: at.addContainer(), aliases };
      // In the first subnets, the MAC that follows from an address that another one may get, or is proposed for it.
      const last = 2 + Math.floor(world.random.next() * 8);
      const isSix = world.random.next() < 0.5;
      const mac =
        world.random.next() < 0.2 ? { mac: isSix ? proposedMac(`fd00::${last}`) : `02:42:0a:00:00:0${last}` } : {};
      const ip6 = world.random.next() < 0.1 ? { ip6: `fd00::${last}` } : {};
      const name = world.random.next() < 0.3 ? { name: pick(world, ['db', 'api', 'web'])! } : {};
      return at.running.endpoints.connect({ ...wanted, ...mac, ...ip6, ...name });
    },
  ],
  [
    5,
    'disconnect',
    (world) => {
      const at = host(world);
      const endpoint = at && pick(world, at.running.local.all());
      return endpoint && at.running.endpoints.disconnect(endpoint.record.networkId, endpoint.container.text, false);
    },
  ],
  [
    2,
    'expose',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      const aliases = world.random.next() < 0.5 ? ['shared'] : [];
      return network && expose(at, network.id, { aliases });
    },
  ],
  [
    1,
    'unexpose',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      return network && exposingOf(at).unexpose(network.id);
    },
  ],
  [
    2,
    'connect once more',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      const endpoint = at && pick(world, at.running.local.all());
      if (!network || !endpoint) return undefined;
      const gwPriority = Math.floor(world.random.next() * 3);
      const wanted = { network: network.id, container: endpoint.container.text, aliases: ['again'], gwPriority };
      return at.running.endpoints.connect(wanted);
    },
  ],
  [
    1,
    'one more subnet',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      const nth = 20 + Math.floor(world.random.next() * 6);
      return network && at.running.networks.addSubnet(network.id, { subnet: pick(world, SUBNETS(nth))! });
    },
  ],
  [
    1,
    'give a name, or take it back',
    (world) => {
      const at = host(world);
      const network = at && pick(world, at.running.networks.list());
      if (!network) return undefined;
      const name = pick(world, ['db', 'router'])!;
      if (world.random.next() < 0.4) return removeStaticNames(namesDeps(at), network.id, { name, values: [] });
      const value = `198.51.100.${1 + Math.floor(world.random.next() * 4)}`;
      return addStaticNames(namesDeps(at), network.id, { name, type: 'A', values: [value] });
    },
  ],
  [1, 'exchange a key', (world) => host(world)?.running.wireguard.rotation.rotate({ force: false }, () => {}, forever)],
  [
    1,
    'a host joins',
    ({ cluster }) =>
      cluster.hosts.length < MOST_HOSTS && cluster.etcd.fault === undefined ? cluster.join() : undefined,
  ],
  [
    1,
    'a dead host is removed',
    (world) => {
      const { cluster, evicted } = world;
      // By a keeper, which alone may, and is not removed.
      const [by] = cluster.running.filter(({ record }) => record.id === KEEPER);
      const dead = cluster.hosts.find((each) => !each.member && each.record.id !== KEEPER);
      if (!by || !dead || cluster.hosts.length < 3) return undefined;
      dead.kernel.reset();
      dead.wireguard.vanish();
      cluster.hosts.splice(cluster.hosts.indexOf(dead), 1);
      evicted.push(dead);
      return evict(by, dead);
    },
  ],
];
