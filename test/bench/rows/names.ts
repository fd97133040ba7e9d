import { attach } from '../../lab/network.ts';
import { nowMs, settle } from '../clock.ts';
import { connect, disconnect, gatewayOf, openControl } from '../control.ts';
import { engineConnect, engineDisconnect } from '../engine-api.ts';
import { inEngineContainer, inNamespace, type Lookout, openLookout, type Sighting, seenByAll } from '../lookout.ts';
import { type Experiment, goal, lower, OVERLAYD, type Prepared, type Sample, SWARM, stretch } from '../row.ts';
import { NETWORK, type Overlay, removeContainers, type SharedLab, startContainer } from '../shared-lab.ts';
import { quantile } from '../statistics.ts';

/** What Docker's own name server in each container listens on. */
const DOCKER_RESOLVER = '127.0.0.11';
const IDLE_MS = 100;

/** One container on each overlay network of each of these hosts, with a process in it that looks for names. */
async function openLookouts(lab: SharedLab, numbers: readonly number[]) {
  const hosts = numbers.map((number) => lab.lab.host(number));
  const [one] = lab.hosts;
  const gateway = await gatewayOf(one, NETWORK.overlayd);
  const found: Record<Overlay, Lookout[]> = { overlayd: [], swarm: [] };
  for (const host of hosts) {
    await attach(host, 'looking', NETWORK.overlayd);
    found.overlayd.push(await openLookout(host, inNamespace('looking'), gateway));
    await startContainer(host, 'looking', NETWORK.swarm);
    found.swarm.push(await openLookout(host, await inEngineContainer(host, 'looking'), DOCKER_RESOLVER));
  }
  return {
    ...found,
    async close() {
      for (const lookout of [...found.overlayd, ...found.swarm]) lookout.close();
      for (const host of hosts) {
        await host.mustOverlayd('network', 'disconnect', NETWORK.overlayd, 'netns:looking');
        await host.deleteContainer('looking');
        await removeContainers(host, 'looking');
      }
    },
  };
}

const nameSpread: Experiment = {
  name: 'name-spread',
  title: 'An attached container is found on every other host',
  method: `Attaches and detaches as of "Attaching inside the agent", each with a name of its own, on one of three hosts. \
In a container on each of the others a process asks for the name every 2 ms, overlayd's responder on one side and \
Docker's on the other, and when it has the address opens a TCP connection to a closed port there, every 2 ms until one is \
refused. From the moment the call has returned until the slower host; 0 where that was before. 20 attaches (Swarm: 5).`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('name-spread-p50', 'attach returned → name elsewhere, p50', 'ms'),
    lower('name-spread-p99', 'attach returned → name elsewhere, p99', 'ms'),
    lower('reach-spread-p50', 'attach returned → name and packets, p50', 'ms'),
    lower('reach-spread-p99', 'attach returned → name and packets, p99', 'ms', goal(100), stretch(20)),
    lower('name-gone-p50', 'detach returned → name gone elsewhere, p50', 'ms'),
    lower('name-gone-p99', 'detach returned → name gone elsewhere, p99', 'ms'),
  ],
  lab: 'shared',
  rounds: 5,
  async prepare(context): Promise<Prepared> {
    const lab = await context.sharedLab();
    const [one] = lab.hosts;
    const control = openControl(one);
    const lookouts = await openLookouts(lab, [2, 3]);
    await attach(one, 'first', NETWORK.overlayd);
    await one.container('coming');
    await startContainer(one, 'first', NETWORK.swarm);
    await startContainer(one, 'coming', 'bridge');
    const sides = {
      overlayd: {
        count: context.quick ? 10 : 20,
        attach: (name: string) => connect(control, NETWORK.overlayd, 'coming', { name }),
        detach: () => disconnect(control, NETWORK.overlayd, 'coming'),
      },
      swarm: {
        count: context.quick ? 2 : 5,
        attach: (name: string) => engineConnect(one, NETWORK.swarm, 'coming', name),
        detach: () => engineDisconnect(one, NETWORK.swarm, 'coming'),
      },
    };
    let lastName = 0;
    return {
      async measure(side): Promise<Sample> {
        const { count, attach, detach } = sides[side as Overlay];
        const named: number[] = [];
        const reached: number[] = [];
        const gone: number[] = [];
        for (let turn = 0; turn < count; turn++) {
          const name = `spread${++lastName}`;
          const look = (wanted: 'there' | 'gone') => seenByAll(lookouts[side as Overlay], wanted, name);
          const seen = await after(() => attach(name), look('there'));
          named.push(seen.at);
          reached.push(seen.reachedAt);
          await settle(IDLE_MS);
          gone.push((await after(detach, look('gone'))).at);
          await settle(IDLE_MS);
        }
        return {
          'name-spread-p50': quantile(named, 0.5),
          'name-spread-p99': quantile(named, 0.99),
          'reach-spread-p50': quantile(reached, 0.5),
          'reach-spread-p99': quantile(reached, 0.99),
          'name-gone-p50': quantile(gone, 0.5),
          'name-gone-p99': quantile(gone, 0.99),
        };
      },
      async close() {
        await lookouts.close();
        await one.mustOverlayd('network', 'disconnect', NETWORK.overlayd, 'netns:first');
        for (const name of ['first', 'coming']) await one.deleteContainer(name);
        await removeContainers(one, 'first', 'coming');
        control.close();
      },
    };
  },
};

/** How long after the call's return it was seen, by lookouts that look already. */
async function after(call: () => Promise<unknown>, sighting: Promise<Sighting>): Promise<Sighting> {
  // Should the call fail, nobody waits for what is never seen.
  sighting.catch(() => undefined);
  await call();
  const returnedAt = nowMs();
  const { at, reachedAt } = await sighting;
  return { at: Math.max(0, at - returnedAt), reachedAt: Math.max(0, reachedAt - returnedAt) };
}

const hostCutOff: Experiment = {
  name: 'host-cut-off',
  title: 'A host without network',
  method: `The cable of one of three hosts is pulled at the switch; it has a container on overlayd's network and one on \
Swarm's. On the others a container each asks for their names every 2 ms. Until the last one has no address any more; then \
the cable is put back, until all have it again. Both sides are measured by the same cut.`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('cut-off-hidden', 'host cut off → its names hidden', 's', goal(10), stretch(5)),
    lower('cut-off-shown', 'cable back → its names shown', 's', goal(2)),
  ],
  lab: 'shared',
  rounds: 5,
  quickRounds: 1,
  warmUp: false,
  limitMs: 240_000,
  async prepare(context): Promise<Prepared> {
    const shared = await context.sharedLab();
    const [, , three] = shared.hosts;
    const lookouts = await openLookouts(shared, [1, 2]);
    await attach(three, 'cut', NETWORK.overlayd);
    await startContainer(three, 'cut', NETWORK.swarm);
    const look = (wanted: 'there' | 'gone') => ({
      overlayd: seenByAll(lookouts.overlayd, wanted, 'cut'),
      swarm: seenByAll(lookouts.swarm, wanted, 'cut'),
    });
    const since = async (startedAt: number, { overlayd, swarm }: ReturnType<typeof look>) => ({
      overlayd: ((await overlayd).at - startedAt) / 1_000,
      swarm: ((await swarm).at - startedAt) / 1_000,
    });
    await since(0, look('there'));
    const cut = async (): Promise<Record<Overlay, Sample>> => {
      const cutAt = nowMs();
      await shared.lab.setCable(three, 'down');
      const hidden = await since(cutAt, look('gone'));
      const backAt = nowMs();
      await shared.lab.setCable(three, 'up');
      const shown = await since(backAt, look('there'));
      const sample = (side: Overlay) => ({ 'cut-off-hidden': hidden[side], 'cut-off-shown': shown[side] });
      return { overlayd: sample('overlayd'), swarm: sample('swarm') };
    };
    const left = new Map<string, Sample>();
    return {
      async measure(side): Promise<Sample> {
        if (!left.has(side)) for (const [name, sample] of Object.entries(await cut())) left.set(name, sample);
        const sample = left.get(side)!;
        left.delete(side);
        return sample;
      },
      async close() {
        await shared.lab.setCable(three, 'up');
        await lookouts.close();
        await three.mustOverlayd('network', 'disconnect', NETWORK.overlayd, 'netns:cut');
        await three.deleteContainer('cut');
        await removeContainers(three, 'cut');
      },
    };
  },
};

export const names: readonly Experiment[] = [nameSpread, hostCutOff];
