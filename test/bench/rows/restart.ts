import { fileURLToPath } from 'node:url';
import type { Host } from '../../lab/host.ts';
import { startInside } from '../../lab/inside-process.ts';
import { attach } from '../../lab/network.ts';
import { nowMs, settle, timed } from '../clock.ts';
import { gatewayOf, openControl } from '../control.ts';
import { inNamespace } from '../lookout.ts';
import { type Experiment, floor, goal, lower, OVERLAYD, type Prepared, type Sample, SWARM, stretch } from '../row.ts';
import { NETWORK } from '../shared-lab.ts';

const OUTAGE = fileURLToPath(new URL('../programs/outage.ts', import.meta.url));
const POLL_MS = 5;

const startUp: Experiment = {
  name: 'start-up',
  title: 'Starting',
  method: `The agent of a host that is a member already, with one container on a network, from the start of its process \
until it answers a call, and until it says that all is well: etcd followed, every peer heard. The command from its start \
to its end, beside Docker's. Floor: \`node -e 0\`.`,
  sides: [OVERLAYD, SWARM, floor('node -e 0')],
  rows: [
    lower('agent-answers', 'agent started → answers', 'ms'),
    lower('agent-ready', 'agent started → ready', 'ms'),
    lower('command-version', '`overlayd --version` (`docker --version`)', 'ms'),
    lower('command-list', '`overlayd network ls` (`docker network ls`)', 'ms'),
  ],
  lab: 'shared',
  async prepare(context): Promise<Prepared> {
    const [, two] = (await context.sharedLab()).hosts;
    await attach(two, 'staying', NETWORK.overlayd);
    const commands = async (version: readonly string[], list: readonly string[]): Promise<Sample> => ({
      'command-version': await timed(() => two.must(version)),
      'command-list': await timed(() => two.must(list)),
    });
    const docker = ['/usr/bin/docker', '-H', 'unix:///run/docker.sock'];
    const measures = {
      async overlayd(): Promise<Sample> {
        await two.agent.stop();
        const startedAt = nowMs();
        two.agent.launch();
        const state = async () => {
          const control = openControl(two);
          try {
            return (await control.getStatus({})).state;
          } catch {
            return undefined;
          } finally {
            control.close();
          }
        };
        while ((await state()) === undefined) await settle(POLL_MS);
        const answersAt = nowMs();
        while ((await state()) !== 'ready') await settle(POLL_MS);
        const readyAt = nowMs();
        // The start has more to do than that it is ready, and would slow the commands down.
        await settle(1_000);
        const times = { 'agent-answers': answersAt - startedAt, 'agent-ready': readyAt - startedAt };
        return { ...times, ...(await commands(['overlayd', '--version'], ['overlayd', 'network', 'ls'])) };
      },
      swarm: () => commands([...docker, '--version'], [...docker, 'network', 'ls']),
      async floor(): Promise<Sample> {
        const ms = await timed(() => two.must(['node', '-e', '0']));
        return { 'agent-answers': ms, 'command-version': ms, 'command-list': ms };
      },
    };
    return {
      measure: (side) => measures[side as keyof typeof measures](),
      close: () => leave(two, 'staying'),
    };
  },
};

async function leave(host: Host, container: string): Promise<void> {
  await host.mustOverlayd('network', 'disconnect', NETWORK.overlayd, `netns:${container}`);
  await host.deleteContainer(container);
}

const PINGS = 3_000;
/** Between two questions of `programs/outage.ts`. */
const INTERVAL_MS = 2;

const restart: Experiment = {
  name: 'agent-restart',
  title: 'The agent dies, or is restarted',
  method: `While ${PINGS} echo requests go from a container on one host to one on another, one every 2 ms, the agent of the \
second host is killed (SIGKILL) and started again; then once more, ended by SIGTERM. In the container there a process asks \
for a name every 2 ms: the longest time between two answered questions, less those 2 ms. An engine of a Swarm cannot be \
restarted without its containers, so there is nothing to compare.`,
  sides: [OVERLAYD],
  rows: [
    lower('lost-when-killed', 'packets lost, agent killed', 'of 3000', goal(0)),
    lower('lost-when-stopped', 'packets lost, agent restarted', 'of 3000', goal(0)),
    lower('names-when-killed', 'names unavailable, agent killed', 'ms', goal(1_000), stretch(0)),
    lower('names-when-stopped', 'names unavailable, agent restarted', 'ms', goal(1_000), stretch(0)),
  ],
  lab: 'shared',
  rounds: 5,
  quickRounds: 1,
  warmUp: false,
  async prepare(context): Promise<Prepared> {
    const [one, two] = (await context.sharedLab()).hosts;
    await attach(one, 'pinging', NETWORK.overlayd);
    const address = await attach(two, 'staying', NETWORK.overlayd);
    const gateway = await gatewayOf(one, NETWORK.overlayd);
    const endOf = { killed: () => two.agent.kill(), stopped: () => two.agent.stop() };
    const lose = async (how: keyof typeof endOf): Promise<Sample> => {
      const ping = one.exec('pinging', ['ping', '-n', '-q', '-i', '0.002', '-c', String(PINGS), address]);
      const asking = await startInside(two, [...inNamespace('staying'), 'node', OUTAGE, gateway, 'staying']);
      await settle(500);
      await endOf[how]();
      await two.agent.start();
      const { stdout } = await ping;
      const [sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout)!.slice(1).map(Number);
      asking.end();
      const names = Math.max(0, Number(await asking.line()) - INTERVAL_MS);
      return { [`lost-when-${how}`]: sent! - received!, [`names-when-${how}`]: names };
    };
    return {
      measure: async () => ({ ...(await lose('killed')), ...(await lose('stopped')) }),
      async close() {
        await leave(one, 'pinging');
        await leave(two, 'staying');
      },
    };
  },
};

export const restarts: readonly Experiment[] = [startUp, restart];
