import type { Host } from './host.ts';
import { until } from './until.ts';

/** A container and a connection of it in one go: returns the address. */
export async function attach(
  host: Host,
  container: string,
  network: string,
  ...options: readonly string[]
): Promise<string> {
  const ref = await host.container(container);
  return host.mustOverlayd('network', 'connect', ...options, network, ref);
}

/** One echo request and its reply; `target` is a name or an address. */
export async function reaches(host: Host, container: string, target: string): Promise<boolean> {
  return (await host.exec(container, ['ping', '-n', '-q', '-c', '1', '-W', '1', target])).code === 0;
}

export async function untilReaches(host: Host, container: string, target: string): Promise<void> {
  await until(`${container} on ${host.name} to reach ${target}`, () => reaches(host, container, target));
}

export interface DnsAnswer {
  /** `NOERROR`, `NXDOMAIN`, `SERVFAIL`, … or `TIMEOUT`. */
  readonly status: string;
  /** The answer section's data, sorted. */
  readonly values: readonly string[];
}

/** Asks as a program in the container does: the servers of its resolv.conf. */
export async function resolve(
  host: Host,
  container: string,
  name: string,
  type = 'A',
  options: readonly string[] = [],
): Promise<DnsAnswer> {
  const question = ['dig', '+tries=1', '+time=30', '+noall', '+comments', '+answer', ...options];
  const { stdout } = await host.exec(container, [
    ...question,
    ...(type === 'PTR' ? ['-x', name] : ['-t', type, '-q', name]),
  ]);
  const values = stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(';'))
    .map((line) => line.split(/\s+/).slice(4).join(' '));
  return { status: /status: (\w+)/.exec(stdout)?.[1] ?? 'TIMEOUT', values: values.sort() };
}

/** Waits until the name has exactly these addresses; none means that it does not exist. */
export async function untilResolves(
  host: Host,
  container: string,
  name: string,
  addresses: readonly string[],
): Promise<void> {
  const wanted = [...addresses].sort().join(' ');
  await until(`${name} on ${host.name} to be ${wanted || 'unknown'}`, async () => {
    const { status, values } = await resolve(host, container, name);
    if (values.join(' ') === wanted && status === (wanted === '' ? 'NXDOMAIN' : 'NOERROR')) return true;
    throw new Error(`it is ${status} ${values.join(' ')}`);
  });
}
