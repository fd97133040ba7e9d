/** Three hosts with their agents, and a fourth machine on which a Prometheus reads all of them. */
import { join } from 'node:path';
import { formLabCluster, untilEncryptable } from '../../lab/cluster.ts';
import { CniRuntime } from '../../lab/cni.ts';
import { type Host, ROOT } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { attach, resolve, untilReaches } from '../../lab/network.ts';
import { type Labels, Prometheus } from '../../lab/prometheus.ts';
import { until } from '../../lab/until.ts';
import { WallClock } from '../../lab/wall-clock.ts';

export const GATEWAY = '10.20.0.1';
const DOORS = join(ROOT, 'test/lab/doors-program.ts');
const CONFIGURATION = '/etc/cni/net.d/87-overlayd-web.conflist';
/** Full by filling it, and no less than what the state and a copy of the store take. */
const DISK = 'size=80m,mode=700';

export interface AlertsLab {
  readonly prometheus: Prometheus;
  /** Of the second host's agent. */
  readonly clock: WallClock;
  /** Namespace of the network `web`, on each host. */
  readonly place: string;
  /** A container of a container tool comes and goes on the first host. */
  readonly useTool: () => Promise<void>;
}

/** What is there by that path is something that cannot be run, until it is unmounted. */
export async function hide(host: Host, path: string): Promise<() => Promise<unknown>> {
  await host.must(['mount', '--bind', '/dev/null', path]);
  return () => host.must(['umount', path]);
}

/** On the first host alone etcd is installed; the third one has its data on a disk of its own. */
export async function prepareAlertsLab(lab: Lab): Promise<AlertsLab> {
  const [one, two, three] = lab.hosts as [Host, Host, Host];
  for (const host of [two, three]) await hide(host, '/usr/bin/etcd');
  await three.must(['mount', '-t', 'tmpfs', '-o', DISK, 'tmpfs', three.dataDirectory]);
  const clock = new WallClock(two);
  const flags = (host: Host) => ['--log-level', 'debug', '--metrics-listen', `unix:${socketOf(host)}`];
  await Promise.all(lab.hosts.map((host) => host.agent.start(flags(host))));
  await formLabCluster(lab, ['--store-members', '3']);
  await untilEncryptable(one);
  await one.mustOverlayd('network', 'create', '--subnet', '10.20.0.0/24', 'web');
  await one.mustOverlayd('network', 'create', '-o', 'encrypted', 'secret');
  for (const host of lab.hosts) await attach(host, `c-${host.name}`, 'web', '--name', `c-${host.name}`);
  for (const host of [one, three]) await attach(host, `s-${host.name}`, 'secret', '--name', `s-${host.name}`);
  await untilReaches(three, 's-h3', 's-h1');
  const { installed, useTool } = toolOf(one);
  await installed();
  await until('names of outside to be answered', async () => {
    const { status } = await resolve(two, 'c-h2', 'www.example');
    return status === 'NOERROR';
  });
  await until('all paths to be known, and what they carry', async () => {
    const statuses = await Promise.all(lab.hosts.map((host) => host.json('status')));
    const isKnown = ({ Path }: { Path: { State: string; Mtu: number } }) => Path?.State === 'passes' && Path.Mtu > 0;
    return statuses.every(({ Peers }) => Peers.length === 2 && Peers.every(isKnown));
  });
  const [{ Vni }] = (await one.json('network', 'inspect', 'web')) as [{ Vni: number }];
  return { prometheus: await startPrometheus(lab), clock, place: `ovl-${Vni}`, useTool };
}

/** Reached whatever becomes of the host's network. */
const socketOf = (host: Host) => join(host.directory, 'metrics.sock');

function toolOf(host: Host) {
  return {
    async installed() {
      await host.must(['mount', '-t', 'tmpfs', 'tmpfs', '/opt']);
      await host.mustOverlayd('cni', 'install', '--network', 'web');
      await host.container('pod');
    },
    async useTool() {
      const runtime = new CniRuntime(host);
      const list = await runtime.installed(CONFIGURATION);
      const pod = { containerId: 'pod', netns: '/run/netns/pod' };
      await runtime.del(list, pod, await runtime.add(list, pod));
    },
  };
}

/** Prometheus reads no Unix sockets, and an agent shows its metrics to its own host alone. */
async function startPrometheus(lab: Lab): Promise<Prometheus> {
  const watch = await lab.addHost('watch', 200);
  const doors = lab.hosts.map((host, at) => ({ port: 8_001 + at, host }));
  const program = watch.spawn(['node', DOORS, ...doors.flatMap(({ port, host }) => [`${port}`, socketOf(host)])]);
  await until('the doors to be open', () => program.output.includes('open'));
  const prometheus = new Prometheus(watch);
  const targets: Labels = Object.fromEntries(doors.map(({ port, host }) => [host.name, `127.0.0.1:${port}`]));
  await prometheus.start(targets);
  return prometheus;
}
