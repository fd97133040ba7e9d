import { agentPid, allBytes, allCpuMs, residentBytes } from '../../lab/agent-process.ts';
import { untilReady } from '../../lab/cluster.ts';
import { readMetrics } from '../../lab/metrics.ts';
import { settle } from '../clock.ts';
import { openLargeCluster, untilKnown } from '../large-cluster.ts';
import { type Experiment, floor, goal, lower, OVERLAYD, type Prepared, type Sample } from '../row.ts';

const CONTAINER = 'here';
const ENDPOINTS = 10_000;
const MIB = 1_024 * 1_024;
/** What a start sets off is over. */
const REST_MS = 20_000;
/** As Prometheus does where nobody says another interval than the usual. */
const SCRAPE_MS = 15_000;
const SCRAPES = 4;
/** The kernel counts processor time in hundredths of a second. */
const READINGS = 50;
/** Longer than a reading is told once more as it is. */
const PAUSE_MS = 200;

const cost: Experiment = {
  name: 'metrics',
  title: 'What metrics cost',
  method: `The agent of a host with one container on a network on which others have 10,000 endpoints is restarted and left alone \
for 20 seconds. Then its metrics are read every 15 seconds for a minute (\`--quick\`: once in 15 seconds), over their Unix socket; \
processor time of all our processes there in that time, and after it the agent's resident memory, and the memory of all of these, \
pages that they share counted once. Floor: the same agent with \`metrics_listen = "off"\`. At last ${READINGS} readings, \
${PAUSE_MS} ms apart: processor time of one, less that of as long a time without.`,
  sides: [OVERLAYD, floor('metrics off')],
  rows: [
    lower('metrics-idle', 'processor time, read every 15 s', '% of a core', goal(1.1, 'floor')),
    lower('metrics-rss', 'resident memory of the agent', 'MiB', goal(1.05, 'floor')),
    lower('metrics-memory', 'memory of all our processes', 'MiB', goal(1.05, 'floor')),
    lower('metrics-reading', 'one reading, processor', 'ms', goal(10)),
    lower('metrics-size', 'one reading', 'kB', goal(100)),
  ],
  lab: 'own',
  rounds: 3,
  quickRounds: 1,
  mostlyWaits: true,
  warmUp: false,
  limitMs: 300_000,
  async prepare(context): Promise<Prepared> {
    const cluster = await openLargeCluster(context);
    const { host } = cluster;
    await cluster.attach(CONTAINER);
    await cluster.setEndpoints(ENDPOINTS);
    const cpuOf = async (work: () => Promise<unknown>) => {
      const before = allCpuMs(host);
      await work();
      return allCpuMs(host) - before;
    };
    return {
      async measure(side): Promise<Sample> {
        const isOn = side === OVERLAYD.name;
        await host.agent.stop();
        await host.agent.start(['--log-level', 'info', '--metrics-listen', isOn ? 'socket' : 'off']);
        await untilReady([host]);
        await untilKnown(host, ENDPOINTS);
        await settle(REST_MS);
        const scrapes = context.quick ? 1 : SCRAPES;
        const busyMs = await cpuOf(async () => {
          for (let nth = 0; nth < scrapes; nth++) {
            if (isOn) await readMetrics(host);
            await settle(SCRAPE_MS);
          }
        });
        const sample = {
          'metrics-idle': (busyMs / (scrapes * SCRAPE_MS)) * 100,
          'metrics-rss': residentBytes(agentPid(host)) / MIB,
          'metrics-memory': allBytes(host) / MIB,
        };
        if (!isOn) return sample;
        const withoutMs = await cpuOf(() => settle(READINGS * PAUSE_MS));
        let bytes = 0;
        const withMs = await cpuOf(async () => {
          for (let nth = 0; nth < READINGS; nth++) {
            bytes = Buffer.byteLength(await readMetrics(host));
            await settle(PAUSE_MS);
          }
        });
        return {
          ...sample,
          'metrics-reading': Math.max(0, withMs - withoutMs) / READINGS,
          'metrics-size': bytes / 1_000,
        };
      },
      async close() {
        cluster.close();
      },
    };
  },
};

export const metrics: readonly Experiment[] = [cost];
