import { IDLE_MS, openAttachInTurn } from '../attaching.ts';
import { openBareTunnel } from '../bare-tunnel.ts';
import { type Experiment, type Goal, goal, higher, lower, type Prepared, type Row, type Sample } from '../row.ts';
import { createNetwork, NETWORK } from '../shared-lab.ts';
import { median, quantile } from '../statistics.ts';
import { openTcpPairs, type Way } from '../tcp-pairs.ts';

const SEALED = 'sealed';
const ENCRYPTED = ['-o', 'encrypted'] as const;
/** What the encrypted network is measured beside: the name of its rows ends so. */
const BESIDE = { bare: '', plain: '-plain' } as const;

const BACKEND = `WireGuard is wireguard-go here, since this machine's kernel has no module for it, nor the ESP that Docker \
Swarm's \`--opt encrypted\` needs: neither is measured.`;

function tcpRows(suffix: string, floor: string, goals: readonly Goal[]): readonly Row[] {
  const title = (what: string) => `${what}, encrypted (floor: ${floor})`;
  const name = `tcp-encrypted${suffix}`;
  return [
    higher(name, title('TCP throughput'), 'Gbit/s', ...goals),
    lower(`${name}-cpu`, title('processor time'), 's/GB'),
    lower(`${name}-rr-p50`, title('TCP round trip, p50'), 'µs'),
    lower(`${name}-rr-p99`, title('TCP round trip, p99'), 'µs'),
  ];
}

const tcp: Experiment = {
  name: 'tcp-encrypted',
  title: 'TCP across hosts, encrypted',
  method: `iperf3 for 2 seconds, one flow, between containers on two hosts, on an encrypted network; between the hosts \
themselves, through a tunnel of the same wireguard-go with nothing else in it; and between containers on a network in clear. \
The last two are what stands under "floor", each in rows of its own. Processor time is that of the whole machine meanwhile. \
Then for 2 seconds requests and responses over one connection: 14 bytes there and back, blocking calls, the next request \
when the response is here. A packet of the encrypted network carries 50 bytes less than one of the bare tunnel. ${BACKEND}`,
  sides: [
    { name: 'encrypted', column: 'overlayd', label: 'overlayd, encrypted' },
    { name: 'bare', column: 'floor', label: 'wireguard-go alone' },
    { name: 'plain', column: 'floor', label: 'overlayd, in clear' },
  ],
  rows: [...tcpRows(BESIDE.bare, 'wireguard-go alone', [goal(0.9, 'floor')]), ...tcpRows(BESIDE.plain, 'in clear', [])],
  lab: 'shared',
  async prepare(context): Promise<Prepared> {
    const { lab, hosts } = await context.sharedLab();
    const [one, two] = hosts;
    await createNetwork(lab, SEALED, ...ENCRYPTED);
    const tunnel = await openBareTunnel(one, two);
    const ways: Readonly<Record<string, Way>> = {
      encrypted: { network: SEALED },
      bare: { addresses: tunnel.addresses },
      plain: { network: NETWORK.overlayd },
    };
    const measured = Object.entries(ways).filter(([side]) => context.measures(side));
    const pairs = await openTcpPairs(one, two, Object.fromEntries(measured));
    const seconds = context.quick ? 1 : 2;
    return {
      async measure(side): Promise<Sample> {
        const { rate, cpu } = await pairs.throughput(side, seconds);
        const trips = await pairs.roundTrips(side, seconds);
        const figures = { '': rate, '-cpu': cpu, '-rr-p50': median(trips), '-rr-p99': quantile(trips, 0.99) };
        const suffixes = side === 'bare' || side === 'plain' ? [BESIDE[side]] : Object.values(BESIDE);
        return Object.fromEntries(
          suffixes.flatMap((suffix) =>
            Object.entries(figures).map(([figure, value]) => [`tcp-encrypted${suffix}${figure}`, value]),
          ),
        );
      },
      async close() {
        await pairs.close();
        await tunnel.close();
        await one.mustOverlayd('network', 'rm', SEALED);
      },
    };
  },
};

/** Networks by side, with room for every address that rests after its container went. */
const NETWORKS = {
  encrypted: [...ENCRYPTED, '--subnet', '10.120.128.0/18'],
  plain: ['--subnet', '10.120.64.0/18'],
} as const;

const attach: Experiment = {
  name: 'attach-encrypted',
  title: 'Attaching to an encrypted network',
  method: `As "Attaching inside the agent", to two networks of one agent, one encrypted and one in clear. The second is what \
stands under "floor" here. 20 attaches to each, A B, B A and so on, each followed by its detach, with pauses of ${IDLE_MS} ms. \
A container was on each network before: tunnels are there, as is the network on the host. ${BACKEND}`,
  sides: [
    { name: 'encrypted', column: 'overlayd', label: 'overlayd, encrypted' },
    { name: 'plain', column: 'floor', label: 'overlayd, in clear' },
  ],
  rows: [
    lower('attach-encrypted', 'attach to an encrypted network, p50 (floor: in clear)', 'ms', goal(1.1, 'floor')),
    lower('detach-encrypted', 'detach from an encrypted network, p50 (floor: in clear)', 'ms'),
  ],
  lab: 'shared',
  limitMs: 120_000,
  async prepare(context): Promise<Prepared> {
    const [one] = (await context.sharedLab()).hosts;
    const rows = { 'attach-encrypted': 'attached', 'detach-encrypted': 'detached' } as const;
    return openAttachInTurn(context, one, NETWORKS, rows);
  },
};

export const encrypted: readonly Experiment[] = [tcp, attach];
