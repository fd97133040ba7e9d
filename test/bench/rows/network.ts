import { type Experiment, floor, OVERLAYD, SWARM } from '../row.ts';
import { NETWORK, removeContainers, startContainer } from '../shared-lab.ts';

/** Average of `ping -q`, in ms. */
function averageMs(output: string): number {
  return Number(/= [\d.]+\/([\d.]+)\//.exec(output)?.[1]);
}

const ping: Experiment = {
  name: 'ping',
  title: 'Echo request and reply across hosts',
  method: 'Average of 200 echo requests, 5 ms apart, from a container on one host to one on another.',
  sides: [OVERLAYD, SWARM, floor('raw underlay')],
  rows: [{ name: 'ping', title: 'ping', unit: 'ms', better: 'lower' }],
  lab: 'shared',
  async prepare(context) {
    const { hosts } = await context.sharedLab();
    const [one, two] = hosts;
    const targets: Record<string, string> = { floor: two.address };
    for (const overlay of ['overlayd', 'swarm'] as const) {
      await startContainer(one, `ping-${overlay}`, NETWORK[overlay]);
      targets[overlay] = await startContainer(two, `pong-${overlay}`, NETWORK[overlay]);
    }
    const argv = ['ping', '-q', '-i', '0.005', '-c', context.quick ? '50' : '200'];
    return {
      async measure(side) {
        if (side === 'floor') return { ping: averageMs(await one.must([...argv, targets[side]!])) };
        const pid = await one.engine.mustDocker('inspect', '--format', '{{.State.Pid}}', `ping-${side}`);
        return { ping: averageMs(await one.must(['nsenter', '-t', pid, '-n', ...argv, targets[side]!])) };
      },
      async close() {
        await removeContainers(one, 'ping-overlayd', 'ping-swarm');
        await removeContainers(two, 'pong-overlayd', 'pong-swarm');
      },
    };
  },
};

export const network: readonly Experiment[] = [ping];
