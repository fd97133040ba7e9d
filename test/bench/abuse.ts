/**
 * `node test/bench/abuse.ts [SECONDS]`: what somebody without a certificate or a token can do to a member: memory of its
 * agent and the time that its names take, under each load and without, in a lab of its own. Prints a table.
 */
import { fileURLToPath } from 'node:url';
import { agentPid, cpuMs, residentBytes } from '../lab/agent-process.ts';
import type { Host, HostProcess } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { attach, untilResolves } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { nowMs } from './clock.ts';
import { formWithOneKeeper } from './one-keeper.ts';

const SECONDS = process.argv[2] ?? '5';
const program = (name: string) => fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url));
const LOADS = [
  ['5,000 idle connections, 2377', 'idle', '2377', '5000'],
  ['5,000 idle connections, 7946', 'idle', '7946', '5000'],
  ['HTTP/2 resets, 2377', 'resets', '2377', SECONDS],
  ['HTTP/2 resets, 7946', 'resets', '7946', SECONDS],
  ['500 token guesses a second', 'guesses', '2377', SECONDS],
] as const;

interface Answers {
  readonly sent: number;
  readonly answered: number;
  readonly p50: number;
  readonly p99: number;
}

async function ask(host: Host): Promise<Answers> {
  return JSON.parse(await host.mustExec('c1', ['node', program('ask'), '10.0.0.1', 'api', SECONDS]));
}

const lab = await Lab.open({ hosts: 2, agents: true });
try {
  await formWithOneKeeper(lab);
  const [one, two] = [lab.host(1), lab.host(2)];
  await one.mustOverlayd('network', 'create', 'web');
  await attach(one, 'c1', 'web', '--name', 'asker');
  await attach(two, 'c2', 'web', '--name', 'api');
  await untilResolves(one, 'c1', 'api', ['10.0.0.3']);
  await ask(one);
  const pid = agentPid(one);
  /** Answers, and the share of a processor that the agent took meanwhile. */
  const measure = async (): Promise<Answers & { readonly cpu: number }> => {
    const [begin, before] = [nowMs(), cpuMs(pid)];
    const answers = await ask(one);
    return { ...answers, cpu: (cpuMs(pid) - before) / (nowMs() - begin) };
  };
  const show = (what: string, { p50, p99, sent, answered, cpu }: Answers & { cpu: number }, end = '') => {
    const times = `p50 ${p50.toFixed(2)} p99 ${p99.toFixed(2)} ms, ${sent - answered} of ${sent} lost`;
    const memory = `${(residentBytes(pid) / 2 ** 20).toFixed(0)} MiB`;
    console.log(`${what.padEnd(30)} ${times}, ${(cpu * 100).toFixed(0)} % of a processor, ${memory} ${end}`);
  };
  for (const [what, kind, port, amount] of LOADS) {
    show('without', await measure());
    const attack: HostProcess = two.spawn(['node', program('abuse'), kind, one.address, port, amount]);
    await until('the load', () => attack.output.includes('ready'));
    const answers = await measure();
    await attack.exited;
    show(what, answers, attack.output.replace(/^ready\s*/, '').trim());
  }
  show('without', await measure());
} finally {
  await lab.close();
}
