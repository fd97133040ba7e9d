import { fileURLToPath } from 'node:url';
import { agentPid, allBytes, allCpuMs, endSurvivors, residentBytes } from '../../lab/agent-process.ts';
import { untilReady } from '../../lab/cluster.ts';
import type { Host } from '../../lab/host.ts';
import { startInside } from '../../lab/inside-process.ts';
import { settle, timed } from '../clock.ts';
import { connect, disconnect, gatewayOf, openControl } from '../control.ts';
import { fullLoad, latencies, queriesPerSecond, questions, STEADY_RATE, steadyLoad } from '../dns-load.ts';
import { ENDPOINT_FLOOR, endpointFloor } from '../endpoint-floor.ts';
import { type LargeCluster, openLargeCluster, untilKnown } from '../large-cluster.ts';
import { inNamespace } from '../lookout.ts';
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
  stretch,
} from '../row.ts';

const CONTAINER = 'here';
/** What a start sets off is over, V8's tidying up of it too, which begins 8 s after the last of it. */
const REST_MS = 20_000;
/** What comes around once a minute, the audit of all rows, is in it once. */
const IDLE_MS = 60_000;
const X_LABEL = 'endpoints on other hosts';
const MIB = 1_024 * 1_024;

const text = (count: number) => count.toLocaleString('en-US');

/** A row for each count. */
function rowsAt(counts: readonly number[], row: Row, at: Readonly<Record<number, Partial<Row>>> = {}): readonly Row[] {
  return counts.map((count) => ({
    ...row,
    name: `${row.name}-${count}`,
    title: `${row.title}, ${text(count)} endpoints`,
    curve: { title: row.title, x: count },
    ...at[count],
  }));
}

/** In a comparison the ends tell enough. */
function countsOf({ isComparison }: Context, counts: readonly number[]): readonly number[] {
  return isComparison ? [counts[0]!, counts.at(-1)!] : counts;
}

async function openWithContainer(context: Context): Promise<LargeCluster> {
  const cluster = await openLargeCluster(context);
  await cluster.host.container(CONTAINER);
  return cluster;
}

// ---------------------------------------------------------------- rows in the kernel

const ROW_COUNTS = [0, 1_000, 10_000];
const MOST = 10_000;
/** Long enough for what follows from a change, and one look of the drift audit. */
const WINDOW_MS = 2_000;
/** The kernel counts processor time in hundredths of a second: several audits tell more than one. */
const LOOKS = 4;

/** A namespace with nothing but the devices. */
const BARE_DEVICES = `ip netns add bare
ip -netns bare link add br0 up type bridge
ip -netns bare link add vx0 up master br0 type vxlan id 42 dstport 4790 nolearning proxy`;
const ROW_FLOOR = fileURLToPath(new URL('../programs/row-floor.ts', import.meta.url));

const FIRST_ATTACH = [goal(0.35, 'before'), stretch(0.2, 'before'), stretch(1, 'floor')];

const kernelRows: Experiment = {
  name: 'kernel-rows',
  title: 'Rows of remote endpoints in the kernel',
  method: `A host has no container on a network on which others have 0, 1,000 or 10,000 endpoints: then its first container \
is attached, by a call of the agent's control service, which returns when all is in the kernel: namespace, devices, filter, \
two rows for each endpoint. "Rows from nothing" is that with 10,000 less that with none, so what else a network's endpoints \
take is in it, their names above all; floor: as many messages, encoded before, and nothing but sending them to bare devices by \
the calls that the agent makes. Floor of the first attach: ${ENDPOINT_FLOOR}. Processor time is that of all our processes on the host and of what they start. \
The audit: four events within 2 seconds make the agent look at the whole network, where all is right; processor time, less \
that of 2 idle seconds, of one of these looks.`,
  sides: [OVERLAYD, floor('the messages alone')],
  rows: [
    ...rowsAt(ROW_COUNTS, lower('first-attach', 'first attach', 'ms'), {
      0: { goals: FIRST_ATTACH },
      [MOST]: { goals: FIRST_ATTACH },
    }),
    ...rowsAt(ROW_COUNTS, lower('first-attach-cpu', 'first attach, processor', 'ms')),
    lower(
      'kernel-rows',
      `rows of ${text(MOST)} endpoints from nothing`,
      'ms',
      goal(1_000),
      goal(0.4, 'before'),
      stretch(1, 'floor'),
    ),
    lower('kernel-rows-cpu', `rows of ${text(MOST)} endpoints from nothing, processor`, 'ms'),
    ...rowsAt(ROW_COUNTS, lower('audit-cpu', 'audit, processor', 'ms'), {
      [MOST]: { goals: [goal(50), stretch(25)] },
    }),
    ...rowsAt(ROW_COUNTS, lower('audit', 'audit, duration', 'ms')),
    lower('audit-writes', 'writes of all audits', '1', goal(0)),
  ],
  xLabel: X_LABEL,
  lab: 'own',
  rounds: 5,
  quickRounds: 1,
  comparedRounds: 5,
  warmUp: false,
  limitMs: 180_000,
  async prepare(context): Promise<Prepared> {
    const cluster = await openWithContainer(context);
    const { host, network } = cluster;
    const control = openControl(host);
    const cpuOf = async (work: () => Promise<unknown>) => {
      const before = allCpuMs(host);
      await work();
      return allCpuMs(host) - before;
    };
    const audit = async (count: number): Promise<Sample> => {
      const idle = await cpuOf(() => settle(WINDOW_MS));
      const before = (await control.getStatus({})).reconcile!;
      const busy = await cpuOf(async () => {
        for (let look = 1; look <= LOOKS; look++) {
          // Told as a change of the network, and no business of the agent's.
          const route = ['route', 'add', 'blackhole', '192.0.2.1', 'table', '100', 'metric', `${before.passes + look}`];
          await host.must(['ip', '-netns', cluster.namespace, ...route]);
          await settle(WINDOW_MS / LOOKS);
        }
      });
      const { passes, writes, lastPassMs } = (await control.getStatus({})).reconcile!;
      const looks = passes - before.passes;
      if (looks === 0) throw new Error('the agent did not look');
      return {
        [`audit-cpu-${count}`]: Math.max(0, busy - idle) / looks,
        [`audit-${count}`]: lastPassMs,
        'audit-writes': writes - before.writes,
      };
    };
    return {
      async measure(side): Promise<Sample> {
        if (side === 'floor') {
          await host.must(['bash', '-ec', BARE_DEVICES]);
          const { ms, cpuMs } = JSON.parse(await host.must(['node', ROW_FLOOR, 'bare', `${MOST}`]));
          await host.must(['ip', 'netns', 'del', 'bare']);
          const sample: Record<string, number> = { 'kernel-rows': ms, 'kernel-rows-cpu': cpuMs };
          for (const remotes of countsOf(context, ROW_COUNTS)) {
            const { attach } = await endpointFloor(host, cluster.etcdHost, { ports: 1, remotes, rounds: 1 });
            sample[`first-attach-${remotes}`] = attach;
          }
          return sample;
        }
        let sample: Record<string, number> = { 'audit-writes': 0 };
        for (const count of countsOf(context, ROW_COUNTS)) {
          await cluster.setEndpoints(count);
          await settle(WINDOW_MS);
          let ms = 0;
          const cpu = await cpuOf(async () => {
            ms = await timed(() => connect(control, network, CONTAINER));
          });
          await settle(WINDOW_MS);
          const audited = await audit(count);
          const writes = sample['audit-writes']! + audited['audit-writes']!;
          sample = { ...sample, ...audited, 'audit-writes': writes };
          sample[`first-attach-${count}`] = ms;
          sample[`first-attach-cpu-${count}`] = cpu;
          await disconnect(control, network, CONTAINER);
        }
        sample['kernel-rows'] = sample[`first-attach-${MOST}`]! - sample['first-attach-0']!;
        sample['kernel-rows-cpu'] = sample[`first-attach-cpu-${MOST}`]! - sample['first-attach-cpu-0']!;
        await cluster.setEndpoints(0);
        return sample;
      },
      async close() {
        control.close();
        cluster.close();
      },
    };
  },
};

// ---------------------------------------------------------------- the agent's own size

const MEMORY = [goal(0.85, 'before'), stretch(0.7, 'before')];

const BARE = fileURLToPath(new URL('../programs/bare-node.cjs', import.meta.url));
const BARE_FLAGS = { agent: ['--optimize-for-size', '--use-openssl-ca'], names: ['--optimize-for-size'] } as const;

async function measureBare(host: Host, windowMs: number): Promise<Sample> {
  const programs = await Promise.all(
    (['agent', 'names'] as const).map((name) => startInside(host, ['node', ...BARE_FLAGS[name], BARE, name])),
  );
  try {
    const look = async () => {
      const lines = programs.map(async (program) => {
        program.order('measure');
        return (await program.line()).split(' ').map(Number);
      });
      const figures = await Promise.all(lines);
      return { kib: sum(figures.map(([kib]) => kib!)), cpuMs: sum(figures.map(([, cpuMs]) => cpuMs!)) };
    };
    await settle(REST_MS);
    const before = await look();
    await settle(windowMs);
    const { kib, cpuMs } = await look();
    const idle = ((cpuMs - before.cpuMs) / windowMs) * 100;
    // Whatever others have, it is no concern of these.
    return { 'agent-memory-0': kib / 1_024, 'agent-idle-0': idle, [`agent-idle-${MOST}`]: idle };
  } finally {
    for (const program of programs) program.end();
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const footprint: Experiment = {
  name: 'agent-footprint',
  title: 'What the agent takes',
  method: `The agent of a host with one container on a network on which others have 0, 1,000 or 10,000 endpoints is \
restarted, with the process that answers names, and left alone for 20 seconds. Then the processor time of all our processes there and of what they keep, those \
that outlive the agent included, for a minute, in which each network is audited once (\`--quick\`: for 10 seconds); after \
that the agent's resident memory, and the memory of all of these, pages that they share counted once. Floor: two Node.js \
processes with the same flags and none of our code: one with koffi, a thread that does nothing, and gRPC by which it asks \
itself once a second on an open stream, without TLS; and one with koffi.`,
  sides: [OVERLAYD, floor('bare Node.js')],
  rows: [
    ...rowsAt(ROW_COUNTS, lower('agent-rss', 'resident memory', 'MiB'), { 1000: { goals: [goal(150), stretch(90)] } }),
    ...rowsAt(ROW_COUNTS, lower('agent-memory', 'memory of all our processes', 'MiB'), {
      0: { goals: [...MEMORY, stretch(1.5, 'floor')] },
      [MOST]: { goals: MEMORY },
    }),
    ...rowsAt(ROW_COUNTS, lower('agent-idle', 'idle processor time', '% of a core'), {
      1000: { goals: [goal(1)] },
      [MOST]: { goals: [goal(0.5, 'before'), stretch(0.2), stretch(2, 'floor')] },
    }),
  ],
  xLabel: X_LABEL,
  lab: 'own',
  rounds: 3,
  quickRounds: 1,
  comparedRounds: 2,
  mostlyWaits: true,
  warmUp: false,
  limitMs: 400_000,
  async prepare(context): Promise<Prepared> {
    const cluster = await openWithContainer(context);
    const { host, network } = cluster;
    const control = openControl(host);
    await connect(control, network, CONTAINER);
    control.close();
    const windowMs = context.quick ? 10_000 : IDLE_MS;
    return {
      async measure(side): Promise<Sample> {
        if (side === 'floor') return measureBare(host, windowMs);
        const sample: Record<string, number> = {};
        for (const count of countsOf(context, ROW_COUNTS)) {
          await cluster.setEndpoints(count);
          await host.agent.stop();
          await endSurvivors(host);
          await host.agent.start();
          await untilReady([host]);
          await untilKnown(host, count);
          await settle(REST_MS);
          const before = allCpuMs(host);
          await settle(windowMs);
          sample[`agent-idle-${count}`] = ((allCpuMs(host) - before) / windowMs) * 100;
          sample[`agent-rss-${count}`] = residentBytes(agentPid(host)) / MIB;
          sample[`agent-memory-${count}`] = allBytes(host) / MIB;
        }
        await cluster.setEndpoints(0);
        return sample;
      },
      async close() {
        cluster.close();
      },
    };
  },
};

// ---------------------------------------------------------------- names

const NAME_COUNTS = [10, 1_000, 10_000];
const CHURN_RATE = 20;
const FILE = '/run/questions';

const namesAtScale: Experiment = {
  name: 'dns-scale',
  title: 'Many names, asked from a container',
  method: `dnsperf as in "Names of containers", at overlayd's responder, on a network on which others have 10, 1,000 or \
10,000 endpoints; it asks for a thousand of their names at most. Then the same while ${CHURN_RATE} endpoints a second come \
or go there, each of which is rows to be written, and answers to be made anew. The times are at ${STEADY_RATE} questions a \
second.`,
  sides: [OVERLAYD],
  rows: [
    ...rowsAt(NAME_COUNTS, higher('dns-scale', 'names, as many as go', '1/s')),
    ...rowsAt(NAME_COUNTS, lower('dns-scale-p99', 'names, p99', 'ms')),
    ...rowsAt(NAME_COUNTS, higher('dns-churn', 'names while they change', '1/s')),
    ...rowsAt(NAME_COUNTS, lower('dns-churn-p99', 'names while they change, p99', 'ms')),
  ],
  xLabel: X_LABEL,
  lab: 'own',
  rounds: 5,
  quickRounds: 1,
  warmUp: false,
  limitMs: 180_000,
  async prepare(context): Promise<Prepared> {
    const cluster = await openWithContainer(context);
    const { host, network } = cluster;
    const control = openControl(host);
    await connect(control, network, CONTAINER);
    control.close();
    const load = { server: await gatewayOf(host, network), seconds: 1, file: FILE };
    const inside = (command: readonly string[]) => host.must([...inNamespace(CONTAINER), ...command]);
    const ask = async () => ({
      rate: queriesPerSecond(await inside(fullLoad(load))),
      p99: latencies(await inside(steadyLoad(load))).p99,
    });
    return {
      async measure(): Promise<Sample> {
        const sample: Record<string, number> = {};
        for (const count of NAME_COUNTS) {
          await cluster.setEndpoints(count);
          const names = Array.from(
            { length: Math.min(count, 1_000) },
            (_, index) => `n${index * Math.floor(count / Math.min(count, 1_000))}`,
          );
          await host.must(['sh', '-c', `cat > ${FILE}`], { input: questions(names) });
          await settle(WINDOW_MS);
          const calm = await ask();
          await cluster.churn(CHURN_RATE);
          const changing = await ask();
          await cluster.churn(0);
          sample[`dns-scale-${count}`] = calm.rate;
          sample[`dns-scale-p99-${count}`] = calm.p99;
          sample[`dns-churn-${count}`] = changing.rate;
          sample[`dns-churn-p99-${count}`] = changing.p99;
        }
        await cluster.setEndpoints(0);
        return sample;
      },
      async close() {
        cluster.close();
      },
    };
  },
};

export const scale: readonly Experiment[] = [kernelRows, footprint, namesAtScale];
