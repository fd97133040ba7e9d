import { fileURLToPath } from 'node:url';
import type { Host } from '../../lab/host.ts';
import { until } from '../../lab/until.ts';
import { settle, timed } from '../clock.ts';
import { BENCH_IMAGE } from '../image.ts';
import { type Experiment, floor, goal, lower, OVERLAYD, type Sample, type Side, SWARM, stretch } from '../row.ts';
import { NETWORK, type Overlay, removeContainers, startContainer } from '../shared-lab.ts';

const NAME_WATCH = fileURLToPath(new URL('../name-watch.ts', import.meta.url));

/** What Docker's own name server in each container listens on. */
const DOCKER_RESOLVER = '127.0.0.11';

/** A container on each overlay network of each host, so that no side pays for the first one on a host. */
async function occupy(hosts: readonly Host[], prefix: string): Promise<() => Promise<void>> {
  const overlays = Object.keys(NETWORK) as Overlay[];
  for (const host of hosts) {
    for (const overlay of overlays) await startContainer(host, `${prefix}-${overlay}`, NETWORK[overlay]);
  }
  return async () => {
    for (const host of hosts) await removeContainers(host, ...overlays.map((overlay) => `${prefix}-${overlay}`));
  };
}

const OVERLAYD_BY_DOCKER: Side = { name: 'overlayd-docker', column: 'overlayd', label: 'overlayd, by docker' };

/** The least that any driver asks of the kernel: a pair of links, one end in the container with an address. */
const BARE_CONNECT = `ip link add bare0 up mtu 1450 type veth peer name eth7 mtu 1450 netns bare
ip -netns bare -batch - <<END
addr add 192.0.2.2/24 dev eth7
link set eth7 up
END`;

/** What the disconnect before leaves to be done, by the kernel above all, is over. */
const IDLE_MS = 300;

const connect: Experiment = {
  name: 'network-connect',
  title: 'Connecting a running container',
  method: `The whole command, from its start to its end, with one container on the network already. overlayd: \
\`overlayd network connect\` of a network namespace. By docker: \`docker network connect\` of a running container, on \
overlayd's network and on Swarm's. Between two of them nothing happens for ${IDLE_MS} ms. Floor: two \`ip\` processes make a veth pair with one end in a namespace, and give \
that its address.`,
  sides: [OVERLAYD, OVERLAYD_BY_DOCKER, SWARM, floor('veth by ip')],
  rows: [
    lower(
      'network-connect',
      '`overlayd network connect` (Swarm: `docker network connect`)',
      'ms',
      goal(0.5, 'swarm'),
      stretch(0.25, 'swarm'),
    ),
    lower('docker-network-connect', '`docker network connect` on either', 'ms'),
  ],
  lab: 'shared',
  rounds: 11,
  async prepare(context) {
    const [one] = (await context.sharedLab()).hosts;
    const unsettle = await occupy([one], 'settled');
    await startContainer(one, 'joining', 'bridge');
    await one.container('attaching');
    await one.container('bare');
    const byDocker = async (network: string): Promise<number> => {
      const ms = await timed(() => one.engine.mustDocker('network', 'connect', network, 'joining'));
      await one.engine.mustDocker('network', 'disconnect', network, 'joining');
      return ms;
    };
    const measures: Readonly<Record<string, () => Promise<Sample>>> = {
      async overlayd() {
        const ms = await timed(() => one.mustOverlayd('network', 'connect', NETWORK.overlayd, 'netns:attaching'));
        await one.mustOverlayd('network', 'disconnect', NETWORK.overlayd, 'netns:attaching');
        return { 'network-connect': ms };
      },
      async 'overlayd-docker'() {
        return { 'docker-network-connect': await byDocker(NETWORK.overlayd) };
      },
      async swarm() {
        const ms = await byDocker(NETWORK.swarm);
        return { 'network-connect': ms, 'docker-network-connect': ms };
      },
      async floor() {
        const ms = await timed(() => one.must(['bash', '-ec', BARE_CONNECT]));
        await one.must(['ip', 'link', 'del', 'bare0']);
        return { 'network-connect': ms };
      },
    };
    return {
      async measure(side) {
        await settle(IDLE_MS);
        return await measures[side]!();
      },
      async close() {
        await removeContainers(one, 'joining');
        for (const name of ['attaching', 'bare']) await one.deleteContainer(name);
        await unsettle();
      },
    };
  },
};

const run: Experiment = {
  name: 'docker-run',
  title: 'A short-lived container',
  method: `\`docker run --rm --network X IMAGE true\`, the whole command, with one container on the network already. Each \
run on an overlay network has one with \`--network none\` right before it; "network's part" is the difference. The \
floor is \`--network none\`.`,
  sides: [OVERLAYD, SWARM, floor('network none')],
  rows: [
    lower('docker-run', '`docker run --rm … true`', 'ms'),
    lower('docker-run-network', "of it the network's part", 'ms', goal(0.7, 'before'), stretch(0.5, 'before')),
  ],
  lab: 'shared',
  async prepare(context) {
    const [one] = (await context.sharedLab()).hosts;
    const unsettle = await occupy([one], 'settled');
    const runOn = (network: string) =>
      timed(() => one.engine.mustDocker('run', '--rm', '--network', network, BENCH_IMAGE, 'true'));
    return {
      async measure(side): Promise<Sample> {
        const without = await runOn('none');
        if (side === 'floor') return { 'docker-run': without };
        const whole = await runOn(NETWORK[side as Overlay]);
        return { 'docker-run': whole, 'docker-run-network': whole - without };
      },
      close: unsettle,
    };
  },
};

const name: Experiment = {
  name: 'docker-name',
  title: 'A new container is found by name on another host',
  method: `\`docker run -d --name …\` on one host, while a container on the same network on another host asks Docker's name \
server for that name every 2 ms. "After the command" is 0 where the name was known before \`docker run\` had returned.`,
  sides: [OVERLAYD, SWARM],
  rows: [
    lower('docker-name', '`docker run -d` returned → name on the other host', 'ms'),
    lower('docker-name-whole', '`docker run -d` begun → name on the other host', 'ms'),
  ],
  lab: 'shared',
  async prepare(context) {
    const [one, two] = (await context.sharedLab()).hosts;
    const unsettle = await occupy([one, two], 'settled');
    let count = 0;
    return {
      async measure(side): Promise<Sample> {
        const name = `fresh-${++count}`;
        const pid = await two.engine.mustDocker('inspect', '--format', '{{.State.Pid}}', `settled-${side}`);
        const watch = two.spawn(['nsenter', '-t', pid, '-n', 'node', NAME_WATCH, DOCKER_RESOLVER, name]);
        try {
          await until('the first answer', () => watch.output.startsWith('ready\n'));
          const begun = performance.timeOrigin + performance.now();
          const network = NETWORK[side as Overlay];
          await one.engine.mustDocker('run', '-d', '--name', name, '--network', network, BENCH_IMAGE);
          const returned = performance.timeOrigin + performance.now();
          const known = Number(await until(`${name} to be known`, () => /\n([\d.]+)\n/.exec(watch.output)?.[1]));
          return { 'docker-name': Math.max(0, known - returned), 'docker-name-whole': known - begun };
        } finally {
          await watch.kill('SIGKILL');
          await removeContainers(one, name);
        }
      },
      close: unsettle,
    };
  },
};

export const docker: readonly Experiment[] = [connect, run, name];
