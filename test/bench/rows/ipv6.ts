import { addressOf, type Lab } from '../../lab/lab.ts';
import { IDLE_MS, openAttachInTurn } from '../attaching.ts';
import {
  type Context,
  type Experiment,
  floor,
  goal,
  higher,
  lower,
  OVERLAYD,
  type Prepared,
  type Row,
  type Sample,
  SWARM,
} from '../row.ts';
import { createNetwork, formBoth, NETWORK } from '../shared-lab.ts';
import { median } from '../statistics.ts';
import { openTcpPairs, type Way } from '../tcp-pairs.ts';

const DUAL = 'dual';
const HOW = `iperf3 for 2 seconds, one flow, as of "TCP across hosts, one flow". Then for 2 seconds requests and responses over \
one connection: 14 bytes there and back, blocking calls, the next request when the response is here. Two small programs of \
Perl do that on all sides, as sockperf knows IPv4 alone: their figures are not those of "Requests and responses over TCP \
across hosts".`;

// ------------------------------------------------------------ what containers get

function tcpRows(name: string, title: string): readonly Row[] {
  return [
    higher(name, `TCP throughput, ${title}`, 'Gbit/s'),
    lower(`${name}-cpu`, `processor time, ${title}`, 's/GB'),
    higher(`${name}-rr`, `TCP requests and responses, ${title}`, '1/s'),
    lower(`${name}-rr-p50`, `TCP round trip, p50, ${title}`, 'µs'),
  ];
}

/** `rowsOf`: names that `tcpRows` was given; a side's figures count for each of them. */
async function openTcp(
  context: Context,
  lab: Lab,
  ways: Readonly<Record<string, Way>>,
  rowsOf: (side: string) => readonly string[],
): Promise<Prepared> {
  await createNetwork(lab, DUAL, '--ipv6');
  const measured = Object.entries(ways).filter(([side]) => context.measures(side));
  const pairs = await openTcpPairs(lab.host(1), lab.host(2), Object.fromEntries(measured));
  const seconds = context.quick ? 1 : 2;
  return {
    async measure(side): Promise<Sample> {
      const { rate, cpu } = await pairs.throughput(side, seconds);
      const trips = await pairs.roundTrips(side, seconds);
      const perSecond = 1e6 / (trips.reduce((sum, each) => sum + each, 0) / trips.length);
      const figures = { '': rate, '-cpu': cpu, '-rr': perSecond, '-rr-p50': median(trips) };
      return Object.fromEntries(
        rowsOf(side).flatMap((row) => Object.entries(figures).map(([suffix, value]) => [row + suffix, value])),
      );
    },
    async close() {
      await pairs.close();
      await lab.host(1).mustOverlayd('network', 'rm', DUAL);
    },
  };
}

const inside: Experiment = {
  name: 'tcp-ipv6-inside',
  title: 'TCP across hosts, IPv6 inside',
  method: `Containers on two hosts, by their addresses of IPv6 on a network of both families; the hosts reach each other by \
IPv4. Swarm's network is as it is in all other experiments, and spoken on by IPv4: its overlay networks have no other. The \
floor is the raw underlay by IPv4, which carries both. ${HOW}`,
  sides: [OVERLAYD, SWARM, floor('raw underlay')],
  rows: tcpRows('tcp-ipv6-inside', 'IPv6 inside'),
  lab: 'shared',
  async prepare(context): Promise<Prepared> {
    const { lab } = await context.sharedLab();
    const ways = { overlayd: { network: DUAL, family: 6 }, swarm: { network: NETWORK.swarm }, floor: {} } as const;
    return openTcp(context, lab, ways, () => ['tcp-ipv6-inside']);
  },
};

const BY_FAMILY: Readonly<Record<string, readonly string[]>> = {
  overlayd4: ['tcp-ipv6-underlay-ipv4'],
  overlayd6: ['tcp-ipv6-underlay-ipv6'],
};

const underlay: Experiment = {
  name: 'tcp-ipv6-underlay',
  title: 'TCP across hosts that reach each other by IPv6',
  method: `Two hosts of a cluster whose members have addresses of IPv6, and containers on a network of both families, which is \
measured by either. The Swarm of this Docker has no data path over IPv6: the hosts have addresses of IPv4 besides, for Swarm \
alone, and its figures are of IPv4 inside and outside. The floor is the raw underlay by IPv6. ${HOW}`,
  sides: [
    { name: 'overlayd4', column: 'overlayd', label: 'overlayd' },
    { name: 'overlayd6', column: 'overlayd', label: 'overlayd' },
    { ...SWARM, label: 'Docker Swarm, by IPv4' },
    floor('raw underlay, by IPv6'),
  ],
  rows: [
    ...tcpRows('tcp-ipv6-underlay-ipv4', 'IPv4 inside, IPv6 underlay'),
    ...tcpRows('tcp-ipv6-underlay-ipv6', 'IPv6 inside, IPv6 underlay'),
  ],
  lab: 'own',
  async prepare(context): Promise<Prepared> {
    const lab = await context.openLab({ hosts: 2, family: 6 });
    const ipv4 = lab.hosts.map((_, index) => addressOf(index + 1, 4));
    for (const [index, host] of lab.hosts.entries()) {
      await host.must(['ip', 'address', 'add', `${ipv4[index]}/24`, 'dev', 'eth0']);
    }
    await formBoth(lab, ipv4);
    const ways = {
      overlayd4: { network: DUAL, family: 4 },
      overlayd6: { network: DUAL, family: 6 },
      swarm: { network: NETWORK.swarm },
      floor: {},
    } as const;
    return openTcp(context, lab, ways, (side) => BY_FAMILY[side] ?? Object.values(BY_FAMILY).flat());
  },
};

// ------------------------------------------------------------ what an attach takes

/** Networks by side, with room for every address that rests after its container went. */
const NETWORKS = {
  both: ['--ipv6', '--subnet', '10.120.128.0/18'],
  single: ['--subnet', '10.120.64.0/18'],
} as const;

const attachDual: Experiment = {
  name: 'attach-dual-stack',
  title: 'Attaching to a network of both families',
  method: `As "Attaching inside the agent", to two networks of one agent, one of IPv4 and IPv6 and one of IPv4 alone. The second \
is what stands under "floor" here. 20 attaches to each, A B, B A and so on, each followed by its detach, with pauses of \
${IDLE_MS} ms.`,
  sides: [
    { name: 'both', column: 'overlayd', label: 'overlayd, IPv4 and IPv6' },
    { name: 'single', column: 'floor', label: 'overlayd, IPv4 alone' },
  ],
  rows: [
    lower('attach-dual', 'attach to a network of both families, p50 (floor: of IPv4 alone)', 'ms', goal(1.15, 'floor')),
    lower('detach-dual', 'detach from a network of both families, p50 (floor: of IPv4 alone)', 'ms'),
  ],
  lab: 'shared',
  limitMs: 120_000,
  async prepare(context): Promise<Prepared> {
    const [one] = (await context.sharedLab()).hosts;
    return openAttachInTurn(context, one, NETWORKS, { 'attach-dual': 'attached', 'detach-dual': 'detached' });
  },
};

export const ipv6: readonly Experiment[] = [inside, underlay, attachDual];
