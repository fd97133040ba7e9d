import type { Family } from '../../src/core/ip.ts';
import { SERVICE_ADDRESS } from '../lab/docker-network.ts';
import type { Host } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { until } from '../lab/until.ts';
import { BENCH_IMAGE, benchImageArchive, importBenchImage } from './image.ts';
import { formWithOneKeeper } from './one-keeper.ts';

/** Overlay networks over all three hosts, one of each make; names are Docker's on every engine. */
export const NETWORK = { overlayd: 'ours', swarm: 'theirs' } as const;
export type Overlay = keyof typeof NETWORK;

/** Swarm keeps its ports, 2377 and 7946; VXLAN is overlayd's on 4789. */
const AGENT = ['--join-port', '2477', '--gossip-port', '7956', '--log-level', 'info'];
const SWARM_DATA_PATH_PORT = '4799';

/**
 * Three hosts, each with an agent of one overlayd cluster and an engine of one Swarm, an overlay network of each, and
 * nothing on them. The agents log as they do by default.
 */
export interface SharedLab {
  readonly lab: Lab;
  /** The first one has the bundled etcd, and is the Swarm's manager. */
  readonly hosts: readonly [Host, Host, Host];
}

export async function openSharedLab(checkout: string, opened: (lab: Lab) => void): Promise<SharedLab> {
  const lab = await Lab.open({ hosts: 3, checkout });
  opened(lab);
  await formBoth(lab);
  return { lab, hosts: [lab.host(1), lab.host(2), lab.host(3)] };
}

/** A cluster and a Swarm over all hosts, an overlay network of each; without addresses of its own, Swarm has the hosts'. */
export async function formBoth(lab: Lab, swarmAddresses = lab.hosts.map(({ address }) => address)): Promise<void> {
  await Promise.all(lab.hosts.map((host) => host.agent.start(AGENT)));
  await formWithOneKeeper(lab, ['--default-addr-pool', '10.120.0.0/16']);
  const archive = await benchImageArchive(lab.directory);
  await Promise.all(
    lab.hosts.map(async (host) => {
      await host.engine.start(['--dns', SERVICE_ADDRESS]);
      await importBenchImage(host, archive);
    }),
  );
  await formSwarm(lab.hosts, swarmAddresses);
  await createNetwork(lab, NETWORK.overlayd);
  const overlay = ['network', 'create', '-d', 'overlay', '--attachable', '--subnet', '10.121.0.0/24'];
  await lab.host(1).engine.mustDocker(...overlay, NETWORK.swarm);
}

/** A network of overlayd that every engine offers; options as of `overlayd network create`. */
export async function createNetwork({ hosts }: Lab, name: string, ...options: readonly string[]): Promise<void> {
  await hosts[0]!.mustOverlayd('network', 'create', ...options, name);
  for (const host of hosts) {
    await until(`network ${name} in the engine of ${host.name}`, async () => {
      return (await host.engine.docker('network', 'inspect', name)).code === 0;
    });
  }
}

async function formSwarm(hosts: readonly Host[], addresses: readonly string[]): Promise<void> {
  const [manager, ...workers] = hosts;
  if (manager === undefined) return;
  const ports = ['--data-path-port', SWARM_DATA_PATH_PORT];
  const pool = ['--default-addr-pool', '10.122.0.0/16'];
  await manager.engine.mustDocker('swarm', 'init', '--advertise-addr', addresses[0]!, ...ports, ...pool);
  const token = await manager.engine.mustDocker('swarm', 'join-token', '-q', 'worker');
  for (const [index, worker] of workers.entries()) {
    const self = ['--advertise-addr', addresses[index + 1]!];
    await worker.engine.mustDocker('swarm', 'join', '--token', token, ...self, `${addresses[0]}:2377`);
  }
}

/** `docker run -d` of the image with the tools, sleeping; options as docker's. Returns its address on the network. */
export async function startContainer(
  host: Host,
  name: string,
  network: string,
  ...options: readonly string[]
): Promise<string> {
  await host.engine.mustDocker('run', '-d', '--name', name, '--network', network, ...options, BENCH_IMAGE);
  return containerAddress(host, name, network);
}

export function containerAddress(host: Host, name: string, network: string, family: Family = 4): Promise<string> {
  const field = family === 4 ? 'IPAddress' : 'GlobalIPv6Address';
  const format = `{{(index .NetworkSettings.Networks "${network}").${field}}}`;
  return host.engine.mustDocker('inspect', '--format', format, name);
}

export async function removeContainers(host: Host, ...names: readonly string[]): Promise<void> {
  await host.engine.mustDocker('rm', '-f', ...names);
}
