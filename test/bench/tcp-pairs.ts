import type { Family } from '../../src/core/ip.ts';
import type { Host, HostProcess } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { iperf, readThroughput, type Throughput } from './iperf.ts';
import { answering, asking, readRoundTrips } from './round-trips.ts';
import { containerAddress, removeContainers, startContainer } from './shared-lab.ts';

/** A network of Docker's, and the family spoken on it; without a network, the hosts themselves. */
export interface Way {
  readonly network?: string;
  readonly family?: Family;
  /** Of the hosts, in their order; those of the underlay. */
  readonly addresses?: readonly [string, string];
}

/** Pairs of containers on two hosts, one pair for each side. */
export interface TcpPairs {
  throughput(side: string, seconds: number): Promise<Throughput>;
  /** Microseconds of each. */
  roundTrips(side: string, seconds: number): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** One end: where programs of the host are started for it. */
interface End {
  readonly address: string;
  inside(argv: readonly string[]): readonly string[];
}

/** The tools are the hosts', in the network namespaces of the containers: not all of them are in the image. */
export async function openTcpPairs(one: Host, two: Host, ways: Readonly<Record<string, Way>>): Promise<TcpPairs> {
  const clients = new Map<string, End>();
  const servers = new Map<string, End>();
  const serving: HostProcess[] = [];
  for (const [side, way] of Object.entries(ways)) {
    clients.set(side, await openEnd(one, `client-${side}`, way, way.addresses?.[0]));
    const server = await openEnd(two, `server-${side}`, way, way.addresses?.[1]);
    servers.set(side, server);
    serving.push(...(await serve(two, server)));
  }
  const named = (prefix: string) =>
    Object.entries(ways).flatMap(([side, { network }]) => (network === undefined ? [] : [`${prefix}-${side}`]));
  const run = (side: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    one.must(clients.get(side)!.inside(argv), { env });
  const peer = (side: string) => servers.get(side)!.address;
  return {
    async throughput(side, seconds) {
      return readThroughput(await run(side, ['sh', '-c', iperf(seconds, 1)], { PEER: peer(side) }));
    },
    async roundTrips(side, seconds) {
      return readRoundTrips(await run(side, asking(peer(side), seconds)));
    },
    async close() {
      for (const server of serving) await server.kill('SIGKILL');
      await removeContainers(one, ...named('client'));
      await removeContainers(two, ...named('server'));
    },
  };
}

async function openEnd(host: Host, name: string, { network, family }: Way, address = host.address): Promise<End> {
  if (network === undefined) return { address, inside: (argv) => argv };
  await startContainer(host, name, network);
  const pid = await host.engine.mustDocker('inspect', '--format', '{{.State.Pid}}', name);
  return {
    address: await containerAddress(host, name, network, family),
    inside: (argv) => ['nsenter', `--net=/proc/${pid}/ns/net`, ...argv],
  };
}

async function serve(host: Host, { address, inside }: End): Promise<readonly HostProcess[]> {
  const serving = [['iperf3', '-s', '-B', address], answering(address)].map((argv) => host.spawn(inside(argv)));
  await until(`both servers to listen at ${address}`, async () => {
    const listening = (await host.must(inside(['ss', '-Hltn']))).split('\n');
    if (listening.filter((line) => line.includes(address)).length >= serving.length) return true;
    throw new Error(serving.map(({ output }) => output).join(''));
  });
  return serving;
}
