import { expect } from 'vitest';
import type { Host } from './host.ts';
import { IMAGE } from './image.ts';
import type { Lab } from './lab.ts';
import { until } from './until.ts';

export const SERVICE_ADDRESS = '169.254.53.53';
/** A name that the outside world's server knows, and its address. */
export const OUTSIDE = 'www.example';

/** Engines on all hosts, set up for overlayd's names, with the tests' image. */
export async function startEngines(hosts: readonly Host[], flags: readonly string[] = []): Promise<void> {
  await Promise.all(
    hosts.map(async ({ engine }) => {
      await engine.start(['--dns', SERVICE_ADDRESS, ...flags]);
      await engine.importImage();
    }),
  );
}

/** For `useLab`: a cluster's hosts with engines. */
export const withEngines = ({ hosts }: Lab) => startEngines(hosts);

/** `docker run -d`: sleeps until it is stopped. Options as docker's; `--network` included. */
export async function runContainer(host: Host, name: string, ...options: readonly string[]): Promise<void> {
  await host.engine.mustDocker('run', '-d', '--name', name, ...options, IMAGE);
}

export interface EndpointRow {
  readonly Name: string;
  readonly Aliases: readonly string[];
  readonly Network: string;
  readonly IPv4Address: string;
  readonly IPv6Address: string;
  readonly Node: string;
  readonly MacAddress: string;
}

/** All endpoints of the cluster as this host knows them. */
export async function endpointRows(host: Host): Promise<readonly EndpointRow[]> {
  return host.json('endpoint', 'ls');
}

export async function endpointNames(host: Host): Promise<readonly string[]> {
  return (await endpointRows(host)).map(({ Name }) => Name).sort();
}

/** The endpoint's address, once it goes by that name. */
export function addressOf(host: Host, name: string, network?: string): Promise<string> {
  return until(`endpoint ${name}`, async () => {
    const rows = await endpointRows(host);
    const found = rows.find((row) => row.Name === name && (network === undefined || row.Network === network));
    return found?.IPv4Address.split('/')[0];
  });
}

/** What a name resolves to inside a container, sorted; empty when it does not exist. */
export async function lookUp(host: Host, container: string, name: string): Promise<readonly string[]> {
  const { stdout } = await host.engine.docker('exec', container, 'nslookup', '-type=a', name);
  const answer = stdout.slice(stdout.indexOf('Name:'));
  return stdout.includes('Name:')
    ? [...answer.matchAll(/^Address:\s+([\d.]+)$/gm)].map((match) => match[1]!).sort()
    : [];
}

export async function untilLooksUp(
  host: Host,
  container: string,
  name: string,
  expected: readonly string[],
): Promise<void> {
  const wanted = [...expected].sort().join();
  await until(`${name} to be ${wanted} in ${container} on ${host.name}`, async () => {
    const found = (await lookUp(host, container, name)).join();
    if (found === wanted) return true;
    throw new Error(`it is ${found}`);
  });
}

/** One ping from inside a container. */
export async function pings(host: Host, container: string, target: string): Promise<boolean> {
  return (await host.engine.docker('exec', container, 'ping', '-c', '1', '-W', '2', target)).code === 0;
}

export async function untilPings(host: Host, container: string, target: string): Promise<void> {
  await until(`${container} on ${host.name} to reach ${target}`, () => pings(host, container, target));
}

/** Names of the engine's networks with our driver, sorted. */
export async function offeredNetworks(host: Host): Promise<readonly string[]> {
  const names = await host.engine.mustDocker('network', 'ls', '--filter', 'driver=overlayd', '--format', '{{.Name}}');
  return names
    .split('\n')
    .filter((name) => name !== '')
    .sort();
}

export async function untilOffered(host: Host, expected: readonly string[]): Promise<void> {
  const wanted = [...expected].sort();
  await until(`Docker of ${host.name} to have ${wanted.join(', ') || 'no network of ours'}`, async () => {
    const found = await offeredNetworks(host);
    if (found.join() === wanted.join()) return true;
    throw new Error(`it has ${found.join(', ')}`);
  });
}

/** Neither in etcd nor in the kernel is anything left of containers. */
export async function expectNothingLeft(hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) {
    await until(`nothing to be left on ${host.name}`, async () => {
      const rows = await endpointNames(host);
      const links = await host.must(['ip', '-o', 'link', 'show', 'type', 'veth']);
      const waiting = [...links.matchAll(/^\d+: (ovc\w+)/gm)].map((match) => match[1]);
      const namespaces = (await host.must(['ip', 'netns', 'list']))
        .split('\n')
        .filter((line) => line.startsWith('ovl-'));
      if (rows.length + waiting.length + namespaces.length === 0) return true;
      throw new Error(`endpoints ${rows.join()}, links ${waiting.join()}, namespaces ${namespaces.join()}`);
    });
  }
  expect(await endpointNames(hosts[0]!)).toEqual([]);
}
