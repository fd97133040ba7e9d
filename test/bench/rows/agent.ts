import type { ControlClient } from '../../../src/adapters/grpc/control.ts';
import type { Host } from '../../lab/host.ts';
import { attachInTurn, IDLE_MS, openOccupied, type Taken } from '../attaching.ts';
import { timed } from '../clock.ts';
import { connect, disconnect, openControl } from '../control.ts';
import { ENDPOINT_FLOOR, endpointFloor } from '../endpoint-floor.ts';
import { engineConnect, engineDisconnect } from '../engine-api.ts';
import { BENCH_IMAGE } from '../image.ts';
import { startLoad } from '../load.ts';
import {
  type Context,
  type Experiment,
  floor,
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

function openWide(host: Host, control: ControlClient): Promise<() => Promise<void>> {
  return openOccupied(host, control, WIDE.name, '--subnet', WIDE.subnet);
}

interface Attaching {
  measure(side: string): Promise<Taken>;
  close(): Promise<void>;
}

/** `counts`: attaches of a measurement. */
async function openAttaching(
  context: Context,
  counts: { readonly overlayd: number; readonly swarm: number },
): Promise<Attaching> {
  const [one] = (await context.sharedLab()).hosts;
  const control = openControl(one);
  const closeWide = await openWide(one, control);
  await one.container('attaching');
  if (context.measures('swarm')) {
    await startContainer(one, 'first-swarm', NETWORK.swarm);
    await startContainer(one, 'attaching', 'bridge');
  }
  const sides = {
    overlayd: {
      count: counts.overlayd,
      attach: () => connect(control, WIDE.name, 'attaching'),
      detach: () => disconnect(control, WIDE.name, 'attaching'),
    },
    swarm: {
      count: counts.swarm,
      attach: () => engineConnect(one, NETWORK.swarm, 'attaching'),
      detach: () => engineDisconnect(one, NETWORK.swarm, 'attaching'),
    },
  };
  return {
    async measure(side) {
      const { count, ...turn } = sides[side as keyof typeof sides];
      const [taken] = await attachInTurn(count, [turn]);
      return taken!;
    },
    async close() {
      if (context.measures('swarm')) await removeContainers(one, 'attaching', 'first-swarm');
      await one.deleteContainer('attaching');
      await closeWide();
      control.close();
    },
  };
}

const attach: Experiment = {
  name: 'attach',
  title: 'Attaching inside the agent',
  method: `Calls of the agent's control service, and of Docker's API for Swarm, from one process that is there already: \
what the command itself takes to start is left out. One container is on the network. 20 attaches (Swarm: 5) one after \
the other, each followed by its detach, with pauses of ${IDLE_MS} ms. Floor: ${ENDPOINT_FLOOR}.`,
  sides: [OVERLAYD, SWARM, floor('the messages alone')],
  rows: [
    lower('attach-p50', 'attach, p50', 'ms', goal(30), goal(0.35, 'before'), stretch(8)),
    lower('attach-p99', 'attach, p99', 'ms', goal(100), stretch(40)),
    lower('detach-p50', 'detach, p50', 'ms', goal(0.35, 'before'), stretch(8), stretch(1, 'floor')),
  ],
  lab: 'shared',
  async prepare(context): Promise<Prepared> {
    const attaching = await openAttaching(
      context,
      context.quick ? { overlayd: 10, swarm: 2 } : { overlayd: 20, swarm: 5 },
    );
    return {
      async measure(side): Promise<Sample> {
        if (side === 'floor') {
          const [one] = (await context.sharedLab()).hosts;
          const { attach, detach } = await endpointFloor(one, one, { ports: 2, rounds: 20 });
          return { 'attach-p50': attach, 'detach-p50': detach };
        }
        const { attached, detached } = await attaching.measure(side);
        return {
          'attach-p50': quantile(attached, 0.5),
          'attach-p99': quantile(attached, 0.99),
          'detach-p50': quantile(detached, 0.5),
        };
      },
      close: attaching.close,
    };
  },
};

/** On the machine's processors, however many those are: with what is measured, `uptime` says 9 or more. */
const LOOPS = 9;
const LOAD_SECONDS = 60;

const busyHost: Experiment = {
  name: 'busy-host',
  title: 'Attaching on a busy host',
  method: `As "Attaching inside the agent", while ${LOOPS} endless loops, started and ended by the benchmark, keep all \
processors busy. 10 attaches (Swarm: 5).`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('busy-attach', 'busy host: attach, p50', 'ms', goal(0.35, 'swarm'), stretch(0.2, 'swarm')),
    lower('busy-detach', 'busy host: detach, p50', 'ms', goal(0.8, 'swarm'), stretch(0.5, 'swarm')),
  ],
  lab: 'shared',
  comparedRounds: 4,
  async prepare(context): Promise<Prepared> {
    const attaching = await openAttaching(
      context,
      context.quick ? { overlayd: 5, swarm: 2 } : { overlayd: 10, swarm: 5 },
    );
    return {
      async measure(side): Promise<Sample> {
        const load = startLoad(LOOPS, LOAD_SECONDS);
        try {
          const { attached, detached } = await attaching.measure(side);
          return { 'busy-attach': quantile(attached, 0.5), 'busy-detach': quantile(detached, 0.5) };
        } finally {
          load.end();
        }
      },
      close: attaching.close,
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
    lower(
      'attach-64',
      `${MANY} attaches at once, total`,
      'ms',
      goal(1_500),
      goal(0.5, 'before'),
      stretch(0.3, 'before'),
    ),
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
    if (context.measures('swarm')) await startMany(one, context);
    const detachAll = () => each((name) => disconnect(control, WIDE.name, name));
    const measures = {
      async overlayd(): Promise<Sample> {
        const attached = await timed(() => each((name) => connect(control, WIDE.name, name)));
        const detached = await timed(detachAll);
        const calls = { 'attach-64': attached, 'detach-64': detached };
        if (context.isComparison) return calls;
        const byCommands = await timed(() => one.must(['sh', '-c', COMMANDS]));
        await detachAll();
        return { ...calls, 'attach-64-commands': byCommands };
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
        if (context.measures('swarm')) await removeContainers(one, 'first-swarm', ...NAMES);
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

export const agent: readonly Experiment[] = [attach, attachMany, busyHost];
