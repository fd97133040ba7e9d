import type { ControlClient } from '../../../src/adapters/grpc/control.ts';
import type { Host } from '../../lab/host.ts';
import { settle, timed } from '../clock.ts';
import { connect, disconnect, openControl } from '../control.ts';
import { engineConnect, engineDisconnect } from '../engine-api.ts';
import { BENCH_IMAGE } from '../image.ts';
import {
  type Context,
  type Experiment,
  goal,
  lower,
  OVERLAYD,
  type Prepared,
  type Sample,
  SWARM,
  stretch,
} from '../row.ts';
import { NETWORK, removeContainers, startContainer } from '../shared-lab.ts';
import { quantile } from '../statistics.ts';

/** With room for every address that rests after its container went. */
const WIDE = { name: 'wide', subnet: '10.120.64.0/18' };
/** Between two attaches, so that what follows from one is over. */
const IDLE_MS = 100;

/** A network of overlayd with one container on it. */
async function openWide(host: Host, control: ControlClient): Promise<() => Promise<void>> {
  await host.mustOverlayd('network', 'create', '--subnet', WIDE.subnet, WIDE.name);
  await host.container('first');
  await connect(control, WIDE.name, 'first');
  return async () => {
    await disconnect(control, WIDE.name, 'first');
    await host.deleteContainer('first');
    await host.mustOverlayd('network', 'rm', WIDE.name);
  };
}

const attach: Experiment = {
  name: 'attach',
  title: 'Attaching inside the agent',
  method: `Calls of the agent's control service, and of Docker's API for Swarm, from one process that is there already: \
what the command itself takes to start is left out. One container is on the network. 20 attaches (Swarm: 5) one after \
the other, each followed by its detach, with pauses of ${IDLE_MS} ms.`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('attach-p50', 'attach, p50', 'ms', goal(30), stretch(12)),
    lower('attach-p99', 'attach, p99', 'ms', goal(100), stretch(40)),
    lower('detach-p50', 'detach, p50', 'ms'),
  ],
  lab: 'shared',
  async prepare(context): Promise<Prepared> {
    const [one] = (await context.sharedLab()).hosts;
    const control = openControl(one);
    const closeWide = await openWide(one, control);
    await one.container('attaching');
    await startContainer(one, 'first-swarm', NETWORK.swarm);
    await startContainer(one, 'attaching', 'bridge');
    const sides = {
      overlayd: {
        count: context.quick ? 10 : 20,
        attach: () => connect(control, WIDE.name, 'attaching'),
        detach: () => disconnect(control, WIDE.name, 'attaching'),
      },
      swarm: {
        count: context.quick ? 2 : 5,
        attach: () => engineConnect(one, NETWORK.swarm, 'attaching'),
        detach: () => engineDisconnect(one, NETWORK.swarm, 'attaching'),
      },
    };
    return {
      async measure(side): Promise<Sample> {
        const { count, attach, detach } = sides[side as keyof typeof sides];
        const attached: number[] = [];
        const detached: number[] = [];
        for (let turn = 0; turn < count; turn++) {
          attached.push(await timed(attach));
          await settle(IDLE_MS);
          detached.push(await timed(detach));
          await settle(IDLE_MS);
        }
        return {
          'attach-p50': quantile(attached, 0.5),
          'attach-p99': quantile(attached, 0.99),
          'detach-p50': quantile(detached, 0.5),
        };
      },
      async close() {
        await removeContainers(one, 'attaching', 'first-swarm');
        await one.deleteContainer('attaching');
        await closeWide();
        control.close();
      },
    };
  },
};

const MANY = 64;
const NAMES = Array.from({ length: MANY }, (_, index) => `many-${index + 1}`);
const each = (work: (name: string) => Promise<unknown>) => Promise.all(NAMES.map(work));
/** Namespaces for all of them, by one process. */
const netns = (verb: 'add' | 'del') => NAMES.map((name) => `netns ${verb} ${name}`).join('\n');
const COMMANDS = `for name in ${NAMES.join(' ')}; do overlayd network connect ${WIDE.name} netns:$name >/dev/null & done; wait`;

const attachMany: Experiment = {
  name: 'attach-64',
  title: `${MANY} attaches at once on one host`,
  method: `${MANY} calls as of "Attaching inside the agent" at once, until the last has returned; then ${MANY} commands \
\`overlayd network connect\` at once, which is mostly the time that ${MANY} processes of Node need to start. For Swarm \
${MANY} running containers are connected by Docker's API at once.`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('attach-64', `${MANY} attaches at once, total`, 'ms', goal(1_500), stretch(600)),
    lower('detach-64', `${MANY} detaches at once, total`, 'ms'),
    lower('attach-64-commands', `${MANY} commands at once, total`, 'ms'),
  ],
  lab: 'shared',
  rounds: 5,
  quickRounds: 1,
  limitMs: 120_000,
  async prepare(context): Promise<Prepared> {
    const [one] = (await context.sharedLab()).hosts;
    const control = openControl(one);
    const closeWide = await openWide(one, control);
    await one.must(['ip', '-batch', '-'], { input: netns('add') });
    await startMany(one, context);
    const detachAll = () => each((name) => disconnect(control, WIDE.name, name));
    const measures = {
      async overlayd(): Promise<Sample> {
        const attached = await timed(() => each((name) => connect(control, WIDE.name, name)));
        const detached = await timed(detachAll);
        const byCommands = await timed(() => one.must(['sh', '-c', COMMANDS]));
        await detachAll();
        return { 'attach-64': attached, 'detach-64': detached, 'attach-64-commands': byCommands };
      },
      async swarm(): Promise<Sample> {
        const attached = await timed(() => each((name) => engineConnect(one, NETWORK.swarm, name)));
        const detached = await timed(() => each((name) => engineDisconnect(one, NETWORK.swarm, name)));
        return { 'attach-64': attached, 'detach-64': detached };
      },
    };
    return {
      measure: (side) => measures[side as keyof typeof measures](),
      async close() {
        await removeContainers(one, 'first-swarm', ...NAMES);
        await one.must(['ip', '-batch', '-'], { input: netns('del') });
        await closeWide();
        control.close();
      },
    };
  },
};

/** Containers without a network of ours, a few at a time, and one on Swarm's. */
async function startMany(host: Host, { signal }: Context): Promise<void> {
  await startContainer(host, 'first-swarm', NETWORK.swarm);
  const waiting = [...NAMES];
  const work = async () => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      signal.throwIfAborted();
      await host.engine.mustDocker('run', '-d', '--network', 'bridge', '--name', name, BENCH_IMAGE);
    }
  };
  await Promise.all([work(), work(), work(), work()]);
}

export const agent: readonly Experiment[] = [attach, attachMany];
