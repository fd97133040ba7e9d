import type { Host } from '../../lab/host.ts';
import { type InsideProcess, startInside } from '../../lab/inside-process.ts';
import { attach } from '../../lab/network.ts';
import { until } from '../../lab/until.ts';
import { nowMs, settle } from '../clock.ts';
import { openControl } from '../control.ts';
import { formWithOneKeeper } from '../one-keeper.ts';
import { type Context, type Experiment, goal, lower, OVERLAYD, type Prepared, type Sample, stretch } from '../row.ts';
import { quantile } from '../statistics.ts';

const NETWORK = 'drifting';
/** Of each damage, in one round. */
const MOST = 15;
/** The agent's timers are not in step with this. */
const PAUSE_MS = 330;
/** For all that is damaged in one way, in one round: some is put right by the turn of a timer only. */
const WINDOW_MS = 6_000;
const MONITOR_READY_MS = 500;
/** A monitor goes on for ever: this one ends with standard input. */
const MORTAL = 'echo ready; "$@" & cat >/dev/null; kill $!';

/** One way to damage what the agent made, and what the kernel says of it. */
interface Damage {
  readonly row: string;
  /** A command that tells of changes as they happen. */
  readonly monitor: readonly string[];
  /** The damage itself. */
  readonly damage: (host: Host) => Promise<unknown>;
  readonly isDamaged: (line: string) => boolean;
  readonly isRepaired: (line: string) => boolean;
}

async function openDrifting(context: Context) {
  const lab = await context.openLab({ hosts: 2 });
  const [one, two] = [lab.host(1), lab.host(2)];
  await Promise.all(lab.hosts.map((host) => host.agent.start(['--log-level', 'info'])));
  await formWithOneKeeper(lab);
  await one.mustOverlayd('network', 'create', NETWORK);
  await attach(one, 'there', NETWORK);
  await attach(two, 'here', NETWORK);
  const control = openControl(one);
  const { vni } = await control.getNetwork({ ref: NETWORK });
  control.close();
  return { host: two, damages: await damagesOf(two, `ovl-${vni}`) };
}

async function damagesOf(host: Host, namespace: string): Promise<readonly Damage[]> {
  const row = await until('the row of the other host', async () => {
    const rows = await host.must(['bridge', '-netns', namespace, 'fdb', 'show', 'dev', 'vx0']);
    return /^(\S+) dst \S+/m.exec(rows)?.[1];
  });
  const ports = JSON.parse(await host.must(['bridge', '-netns', namespace, '-j', 'link']));
  const port = ports.map(({ ifname }: { ifname: string }) => ifname).find((name: string) => name !== 'vx0');
  const nft = ['nsenter', `--net=/run/netns/${namespace}`, 'nft'];
  return [
    {
      row: 'drift-row',
      monitor: ['bridge', '-netns', namespace, 'monitor', 'fdb'],
      damage: () => host.must(['bridge', '-netns', namespace, 'fdb', 'del', row, 'dev', 'vx0', 'self']),
      isDamaged: (line) => line.startsWith(`Deleted ${row} dev vx0 dst`),
      isRepaired: (line) => line.startsWith(`${row} dev vx0 dst`),
    },
    {
      row: 'drift-port',
      monitor: ['bridge', '-netns', namespace, '-details', '-oneline', 'monitor', 'link'],
      damage: () => host.must(['bridge', '-netns', namespace, 'link', 'set', 'dev', port, 'locked', 'off']),
      isDamaged: (line) => line.includes(port) && line.includes(' locked off'),
      isRepaired: (line) => line.includes(port) && line.includes(' locked on'),
    },
    {
      row: 'drift-rule',
      monitor: [...nft, 'monitor'],
      damage: async () => {
        const { nftables } = JSON.parse(await host.must([...nft, '-j', 'list', 'ruleset']));
        const { family, table, chain, handle } = nftables.findLast(({ rule }: { rule?: object }) => rule).rule;
        await host.must([...nft, 'delete', 'rule', family, table, chain, 'handle', String(handle)]);
      },
      isDamaged: (line) => line.startsWith('delete rule '),
      isRepaired: (line) => /^(?:add|insert) rule /.test(line),
    },
    {
      row: 'drift-container',
      monitor: ['ip', '-netns', 'here', '-oneline', 'monitor', 'address'],
      damage: () => host.must(['ip', '-netns', 'here', 'address', 'flush', 'dev', 'eth0', 'scope', 'global']),
      isDamaged: (line) => line.startsWith('Deleted ') && line.includes(' inet '),
      isRepaired: (line) => !line.startsWith('Deleted ') && line.includes(' inet '),
    },
  ];
}

/** Again and again; how long each took from the one event to the other, in milliseconds. */
async function repairs(host: Host, damage: Damage, most: number): Promise<readonly number[]> {
  const said = await startInside(host, ['sh', '-c', MORTAL, 'monitor', ...damage.monitor]);
  const times: number[] = [];
  try {
    await settle(MONITOR_READY_MS);
    for (const end = nowMs() + WINDOW_MS; times.length < most && nowMs() < end; ) {
      const damaged = told(said, damage.isDamaged);
      await damage.damage(host);
      const damagedAt = await damaged;
      times.push((await told(said, damage.isRepaired)) - damagedAt);
      await settle(PAUSE_MS);
    }
  } finally {
    said.end();
  }
  return times;
}

async function told(said: InsideProcess, isIt: (line: string) => boolean): Promise<number> {
  while (!isIt(await said.line()));
  return nowMs();
}

const ROWS = [
  ['drift-row', 'a forwarding row'],
  ['drift-port', "a port's flag"],
  ['drift-rule', 'a rule of the filter in a namespace'],
  ['drift-container', 'an address in a container'],
] as const;

const drift: Experiment = {
  name: 'drift',
  title: 'What somebody else changed is put right',
  method: `On a host with a container: \`bridge fdb del\` of a row, \`bridge link set\` of a flag of the container's port, \
\`nft delete rule\` in the network's namespace, \`ip address flush\` in the container; each ${MOST} times, \
for ${WINDOW_MS / 1_000} seconds at most. From the kernel's event of the damage to that of the repair, as \`bridge\`, \`nft\` and \
\`ip monitor\` tell them.`,
  sides: [OVERLAYD],
  rows: ROWS.map(([name, title]) => lower(name, `drift repaired, ${title}, p99`, 'ms', goal(200), stretch(50))),
  lab: 'own',
  rounds: 3,
  quickRounds: 1,
  comparedRounds: 2,
  warmUp: false,
  limitMs: 120_000,
  async prepare(context): Promise<Prepared> {
    const { host, damages } = await openDrifting(context);
    const most = context.quick ? 5 : MOST;
    return {
      async measure(): Promise<Sample> {
        const sample: Record<string, number> = {};
        for (const damage of damages) {
          sample[damage.row] = quantile(await repairs(host, damage, most), 0.99);
        }
        return sample;
      },
    };
  },
};

export const drifts: readonly Experiment[] = [drift];
