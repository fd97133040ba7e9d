/** Steps of a history: what happens to hosts, agents, the network between them, and etcd. */
import { keys } from '../../src/core/records.ts';
import { host, pick, type WeightedStep } from './history.ts';

export const FATE: readonly WeightedStep[] = [
  [
    2,
    'kill a container',
    (world) => {
      const at = host(world);
      const endpoint = at && pick(world, at.running.local.all());
      if (endpoint) at.killContainer(endpoint.container.text);
      return undefined;
    },
  ],
  [
    2,
    'WireGuard goes, or comes back',
    (world) => {
      pick(world, world.cluster.hosts)?.kernel.setWireguard(world.random.next() < 0.5);
      return undefined;
    },
  ],
  [2, 'kill an agent', (world) => host(world)?.crash()],
  [1, 'cut the power', (world) => host(world)?.reboot()],
  [
    3,
    'start an agent',
    (world) =>
      pick(
        world,
        world.cluster.hosts.filter((each) => !each.member),
      )?.start(),
  ],
  [
    2,
    'cut a host off',
    (world) => {
      const at = pick(world, world.cluster.hosts);
      if (at)
        world.cluster.partition(
          [at],
          world.cluster.hosts.filter((other) => other !== at),
          world.random.next() < 0.7 ? [at] : [],
        );
      return undefined;
    },
  ],
  [
    2,
    'lose an answer of etcd',
    (world) => {
      host(world)?.store.loseReplies();
      return undefined;
    },
  ],
  [
    1,
    'etcd falls silent',
    (world) => {
      world.cluster.etcd.stop('silent');
      return undefined;
    },
  ],
  [
    2,
    'etcd is back',
    (world) => {
      world.cluster.etcd.start();
      return undefined;
    },
  ],
  [
    1,
    'set a wall clock',
    (world) => {
      const at = pick(world, world.cluster.hosts);
      if (at) at.skewMs += Math.round((world.random.next() - 0.5) * 2 * 86_400_000);
      return undefined;
    },
  ],
  [
    3,
    'heal',
    (world) => {
      world.cluster.heal();
      return undefined;
    },
  ],
  [1, 'stop an agent', (world) => host(world)?.end()],
  [
    1,
    'another container by the same name',
    (world) => {
      const at = host(world);
      const endpoint = at && pick(world, at.running.local.all());
      if (endpoint) at.replaceContainer(endpoint.container.text);
      return undefined;
    },
  ],
  [
    1,
    'etcd forgets its history',
    (world) => {
      world.cluster.etcd.compact();
      return undefined;
    },
  ],
  [
    1,
    'a lease is lost',
    (world) => {
      const at = host(world);
      const lease = at && world.cluster.etcd.leaseOf(keys.live(at.record.id));
      if (lease !== undefined) world.cluster.etcd.revokeLease(lease);
      return undefined;
    },
  ],
  [
    1,
    'one way is cut',
    (world) => {
      const [from, to] = [pick(world, world.cluster.hosts)!, pick(world, world.cluster.hosts)!];
      world.cluster.network.cutOneWay(from.record.id, to.record.id);
      return undefined;
    },
  ],
  [
    1,
    'a half of what is pushed gets through',
    ({ cluster, random }) => {
      cluster.network.garble = (message) => {
        if (!message.delta || message.digest || random.next() < 0.5) return message;
        const { records } = message.delta;
        return { ...message, delta: { ...message.delta, records: records.slice(0, Math.ceil(records.length / 2)) } };
      };
      return undefined;
    },
  ],
  [
    1,
    'an agent is started anew beside one that knows less',
    (world) => {
      const { cluster } = world;
      const stale = cluster.running.find(({ store }) => store.fault !== undefined);
      const anew = stale && cluster.running.find((each) => each !== stale);
      if (!anew) return undefined;
      const rest = cluster.hosts.filter((each) => each !== stale && each !== anew);
      cluster.network.heal();
      cluster.partition([stale, anew], rest, [stale, anew]);
      return anew.crash().then(() => anew.start());
    },
  ],
];
