import { iperf, readThroughput } from '../iperf.ts';
import { openPairs } from '../pairs.ts';
import {
  type Experiment,
  floor,
  type Goal,
  goal,
  higher,
  lower,
  OVERLAYD,
  type Sample,
  SWARM,
  stretch,
} from '../row.ts';

const SIDES = [OVERLAYD, SWARM, floor('raw underlay')];
interface Kind {
  readonly name: string;
  readonly flows: number;
  readonly title: string;
  readonly goals: readonly Goal[];
}

function throughput({ name, flows, title, goals }: Kind): Experiment {
  const cpu = `${name}-cpu`;
  return {
    name,
    title: `TCP across hosts, ${title}`,
    method: `iperf3 for 2 seconds between containers on two hosts, ${title}; what arrived counts. Processor time is \
that of the whole machine meanwhile, both hosts and both iperf3 included. For the raw underlay the containers are in \
the network namespaces of their hosts, which one veth pair each and a bridge join.`,
    sides: SIDES,
    rows: [
      higher(name, `TCP throughput, ${title}`, 'Gbit/s', ...goals),
      lower(cpu, `processor time, ${title}`, 's/GB'),
    ],
    lab: 'shared',
    rounds: flows === 1 ? 7 : 5,
    async prepare(context) {
      const pairs = await openPairs(context, 'iperf3 -s');
      const seconds = context.quick ? 1 : 2;
      return {
        async measure(side): Promise<Sample> {
          const { rate, cpu: busy } = readThroughput(await pairs.run(side, iperf(seconds, flows)));
          return { [name]: rate, [cpu]: busy };
        },
        close: pairs.close,
      };
    },
  };
}

function requestResponse(name: string, protocol: 'TCP' | 'UDP', goals: readonly Goal[]): Experiment {
  const flags = protocol === 'TCP' ? '--tcp' : '';
  return {
    name,
    title: `Requests and responses over ${protocol} across hosts`,
    method: `sockperf ping-pong for 2 seconds between containers on two hosts: one connection, blocking calls, 14 bytes \
there and back over ${protocol}, the next request when the response is here. The times are of whole round trips.`,
    sides: SIDES,
    rows: [
      higher(name, `${protocol} requests and responses`, '1/s', ...goals),
      lower(`${name}-p50`, `${protocol} round trip, p50`, 'µs'),
      lower(`${name}-p99`, `${protocol} round trip, p99`, 'µs', goal(1, 'swarm')),
    ],
    lab: 'shared',
    async prepare(context) {
      const pairs = await openPairs(context, `sockperf sr ${flags} -p 11111`);
      const client = `sockperf pp ${flags} -i $PEER -p 11111 -t ${context.quick ? 1 : 2} --full-rtt 2>&1`;
      return {
        async measure(side): Promise<Sample> {
          const output = await pairs.run(side, client);
          const find = (pattern: RegExp) => pattern.exec(output)?.slice(1).map(Number) ?? [Number.NaN];
          const [seconds, received] = find(/\[Valid Duration\] RunTime=([\d.]+) sec; .*ReceivedMessages=(\d+)/);
          const [p50] = find(/percentile 50\.000 = +([\d.]+)/);
          const [p99] = find(/percentile 99\.000 = +([\d.]+)/);
          return { [name]: received! / seconds!, [`${name}-p50`]: p50!, [`${name}-p99`]: p99! };
        },
        close: pairs.close,
      };
    },
  };
}

const RATE_GOALS = [goal(1, 'swarm'), stretch(1.25, 'swarm')];

export const network: readonly Experiment[] = [
  throughput({
    name: 'tcp-throughput',
    flows: 1,
    title: 'one flow',
    goals: [goal(0.98, 'swarm'), stretch(1.1, 'swarm'), stretch(0.95, 'floor')],
  }),
  throughput({ name: 'tcp-throughput-4', flows: 4, title: 'four flows', goals: [] }),
  requestResponse('tcp-rr', 'TCP', RATE_GOALS),
  requestResponse('udp-rr', 'UDP', RATE_GOALS),
];
