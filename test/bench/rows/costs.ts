import { Etcdctl } from '../../lab/etcd.ts';
import { attach } from '../../lab/network.ts';
import { settle } from '../clock.ts';
import { connect, disconnect, openControl } from '../control.ts';
import { engineConnect, engineDisconnect } from '../engine-api.ts';
import { type Experiment, lower, OVERLAYD, type Prepared, type Sample, SWARM } from '../row.ts';
import { NETWORK, removeContainers, type SharedLab, startContainer } from '../shared-lab.ts';
import { countTraffic, difference, stopCounting, trafficOf } from '../traffic.ts';

/** Of the shared lab. */
const PORTS = { etcd: 2379, gossip: 7956, swarm_gossip: 7946, swarm_manager: 2377 };
const KB = 1_000;

/** On the third host, which has neither etcd nor Swarm's manager; a container on each network on every host. */
async function openCounted({ hosts }: SharedLab) {
  const [one, , three] = hosts;
  for (const host of hosts) {
    await attach(host, 'settled', NETWORK.overlayd);
    await startContainer(host, 'settled', NETWORK.swarm);
  }
  await countTraffic(three, PORTS);
  const etcdctl = Etcdctl.ofBundled(one);
  return {
    three,
    traffic: () => trafficOf(three),
    /** Every write is one. */
    revision: async () => Number(JSON.parse(await etcdctl.run('get', 'none', '-w', 'json')).header.revision),
    async close() {
      await stopCounting(three);
      for (const host of hosts) {
        await host.mustOverlayd('network', 'disconnect', NETWORK.overlayd, 'netns:settled');
        await host.deleteContainer('settled');
        await removeContainers(host, 'settled');
      }
    },
  };
}

const idle: Experiment = {
  name: 'idle-traffic',
  title: 'What an idle node says',
  method: `One of three hosts, each with a container on each network, is left alone for 20 seconds, both makes in the \
same ones. Counted are sent and received bytes with all headers from IP on: with the other members (gossip), and with what holds \
the cluster's state (etcd; Swarm: its manager). A write to etcd is also what ends the rest of an address that the experiments \
before gave back.`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('idle-gossip', 'idle, with the other members', 'kB/min'),
    lower('idle-store', 'idle, with etcd (Swarm: manager)', 'kB/min'),
    lower('idle-writes', 'idle, writes to etcd by the cluster', '1/min'),
  ],
  lab: 'shared',
  rounds: 5,
  quickRounds: 1,
  warmUp: false,
  limitMs: 100_000,
  async prepare(context): Promise<Prepared> {
    const counted = await openCounted(await context.sharedLab());
    const minutes = 1 / 3;
    const left = new Map<string, Sample>();
    const wait = async () => {
      const [before, firstRevision] = [await counted.traffic(), await counted.revision()];
      await settle(minutes * 60_000);
      const bytes = difference(before, await counted.traffic());
      const writes = (await counted.revision()) - firstRevision;
      const rate = (name: string) => bytes[name]! / KB / minutes;
      left.set('overlayd', {
        'idle-gossip': rate('gossip'),
        'idle-store': rate('etcd'),
        'idle-writes': writes / minutes,
      });
      left.set('swarm', { 'idle-gossip': rate('swarm_gossip'), 'idle-store': rate('swarm_manager') });
    };
    return {
      async measure(side): Promise<Sample> {
        if (!left.has(side)) await wait();
        const sample = left.get(side)!;
        left.delete(side);
        return sample;
      },
      close: counted.close,
    };
  },
};

/** Until Swarm has told everybody. */
const SPREAD_MS = 2_000;

const attachCost: Experiment = {
  name: 'attach-cost',
  title: 'What an attach and its detach cost the network',
  method: `Attaches and detaches as of "Attaching inside the agent", 10 on each side, on a host that has neither etcd nor \
Swarm's manager; bytes as of "What an idle node says", ${SPREAD_MS / 1_000} seconds after the last one included.`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('attach-gossip', 'attach and detach, with the other members', 'kB'),
    lower('attach-store', 'attach and detach, with etcd (Swarm: manager)', 'kB'),
    lower('attach-writes', 'attach and detach, writes to etcd', '1'),
  ],
  lab: 'shared',
  rounds: 3,
  quickRounds: 1,
  async prepare(context): Promise<Prepared> {
    const counted = await openCounted(await context.sharedLab());
    const { three } = counted;
    const control = openControl(three);
    await three.container('counted');
    await startContainer(three, 'counted', 'bridge');
    const count = context.quick ? 3 : 10;
    const sides = {
      overlayd: {
        turn: async () => {
          await connect(control, NETWORK.overlayd, 'counted');
          await disconnect(control, NETWORK.overlayd, 'counted');
        },
        gossip: 'gossip',
        store: 'etcd',
      },
      swarm: {
        turn: async () => {
          await engineConnect(three, NETWORK.swarm, 'counted');
          await engineDisconnect(three, NETWORK.swarm, 'counted');
        },
        gossip: 'swarm_gossip',
        store: 'swarm_manager',
      },
    };
    return {
      async measure(side): Promise<Sample> {
        const { turn, gossip, store } = sides[side as keyof typeof sides];
        const [before, firstRevision] = [await counted.traffic(), await counted.revision()];
        for (let done = 0; done < count; done++) await turn();
        const writes =
          side === 'overlayd' ? { 'attach-writes': ((await counted.revision()) - firstRevision) / count } : {};
        await settle(SPREAD_MS);
        const bytes = difference(before, await counted.traffic());
        const each = (name: string) => bytes[name]! / KB / count;
        return { 'attach-gossip': each(gossip), 'attach-store': each(store), ...writes };
      },
      async close() {
        await three.deleteContainer('counted');
        await removeContainers(three, 'counted');
        control.close();
        await counted.close();
      },
    };
  },
};

export const costs: readonly Experiment[] = [attachCost, idle];
