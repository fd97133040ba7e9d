import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { until } from './until.ts';

/** The line that `overlayd init` or `overlayd token create` printed, as arguments after `overlayd`. */
export function joinArguments(output: string): readonly string[] {
  const line = output.split('\n').find((text) => text.includes('overlayd join '));
  if (line === undefined) throw new Error(`no join line in:\n${output}`);
  return line.trim().split(/\s+/).slice(1);
}

/** Makes the first host's cluster and lets the others join it, one typed line each. Resolves when all see all. */
export async function formCluster(hosts: readonly Host[], initArguments: readonly string[] = []): Promise<void> {
  const [first, ...others] = hosts;
  if (first === undefined) return;
  const output = await first.mustOverlayd('init', '--advertise-addr', first.address, ...initArguments);
  const join = joinArguments(output);
  for (const host of others) await host.mustOverlayd(...join, '--advertise-addr', host.address);
  await untilReady(hosts);
}

/** Every host says that it and all the others are well. When one does not, the error tells of all. */
export async function untilReady(hosts: readonly Host[]): Promise<void> {
  const others = hosts.length - 1;
  const ready = async (host: Host) => {
    const status = await host.json('status');
    const alive = status.Peers.filter((peer: { State: string }) => peer.State === 'alive').length;
    if (status.State === 'ready' && alive >= others) return true;
    throw new Error(`it is ${status.State}, ${alive} peers are alive`);
  };
  try {
    await Promise.all(
      hosts.map((host) => until(`${host.name} to be ready and see ${others} peers`, () => ready(host))),
    );
  } catch (error) {
    const told = await Promise.all(hosts.map(async (host) => `${host.name}: ${await describe(host)}`));
    throw new Error([(error as Error).message, ...told].join('\n'), { cause: error });
  }
}

/** What a host says of itself and of all that it knows; of a command that fails, what that says. */
export async function describe(host: Host): Promise<string> {
  try {
    const { State, Peers, Problems } = await host.json('status');
    const peers = Peers.map(({ Name, State }: Record<'Name' | 'State', string>) => `${Name} ${State}`);
    return [`${State}; ${peers.sort().join(', ') || 'no peers'}`, ...Problems].join('; ');
  } catch (error) {
    return (error as Error).message;
  }
}

/** Every member is known to have WireGuard, which it tells after it has come. */
export async function untilEncryptable(host: Host): Promise<void> {
  await until('all members to have WireGuard', async () => {
    const nodes: { Left: boolean; Wireguard: { Backend: string } }[] = await host.json('node', 'ls');
    return nodes.length > 0 && nodes.every(({ Left, Wireguard }) => Left || Wireguard.Backend !== '');
  });
}

/** A cluster over all hosts of the lab. */
export function formLabCluster(lab: Lab, initArguments: readonly string[] = []): Promise<void> {
  return formCluster(lab.hosts, initArguments);
}

/**
 * Nothing is wrong with the hosts as far as they know: what has just begun may tell of something for a moment, and an agent that
 * starts tells of nothing before it is the member that it was.
 */
export async function untilFlawless(...hosts: readonly Host[]): Promise<void> {
  for (const host of hosts) {
    await until(`${host.name} to have nothing to say`, async () => {
      const { State, Problems } = await host.json('status');
      if (State === 'ready') return true;
      throw new Error(`it is ${State}; ${Problems.join('; ')}`);
    });
  }
}

/** A network made by a host whose way to etcd may be on its way back: refused until then, or done though nobody heard of it. */
export async function untilMade(host: Host, network: string): Promise<void> {
  await until(`${host.name} to make network ${network}`, async () => {
    const { code, stderr } = await host.overlayd('network', 'create', network);
    if (code === 0 || stderr.includes('already exists')) return true;
    throw new Error(stderr);
  });
}

/** The other way round. */
export async function untilUnmade(host: Host, network: string): Promise<void> {
  await until(`${host.name} to remove network ${network}`, async () => {
    const { code, stderr } = await host.overlayd('network', 'rm', network);
    if (code === 0 || stderr.includes('not found')) return true;
    throw new Error(stderr);
  });
}
