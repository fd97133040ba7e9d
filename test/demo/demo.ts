/**
 * `npm run demo`: three hosts on this machine (in namespaces, nothing outside of them is touched), real agents, the
 * bundled etcd, two networks. `-- --docker`: with a real Docker engine on each host. `-- --ipv6`: the hosts have addresses of
 * IPv6 alone, and the networks of both families. `-- --encrypt`: what passes between hosts is captured, of a plain network and
 * of an encrypted one. `-- --keep` leaves it running, `-- --stop` ends it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { removeControlGroups } from '../lab/control-groups.ts';
import { type Host, ROOT } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { killTree } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { capture } from './capture.ts';
import { engines } from './engines.ts';
import { namespaces } from './namespaces.ts';
import { Narrator } from './narrator.ts';
import { Prompt } from './prompt.ts';
import type { Story } from './story.ts';

const KEPT = join(tmpdir(), 'overlayd-demo.json');

interface Kept {
  readonly directory: string;
  /** The processes that hold the namespaces, with when they started: a process id alone may be another's by now. */
  readonly holders: readonly { readonly pid: number; readonly started: string }[];
}

const narrator = new Narrator();
const prompt = new Prompt(narrator);

async function clear(lab: Lab, story: Story): Promise<void> {
  await story.clear({ lab, narrator, prompt });
  for (const host of lab.hosts) {
    await narrator.check(`${host.name} has no namespace of overlayd's left`, () =>
      until('the namespaces to go', async () => !/^ovl/m.test(await host.must(['ip', 'netns', 'list']))),
    );
  }
}

function leaveRunning(lab: Lab, story: Story): void {
  const holders = lab.keep().map((pid) => ({ pid, started: startOf(pid) ?? '' }));
  writeFileSync(KEPT, JSON.stringify({ directory: lab.directory, holders } satisfies Kept), { mode: 0o600 });
  const enter = (host: Host) => `nsenter -t ${host.pid} -a env PATH="${lab.path}" bash`;
  console.log(`
It goes on running. Each host is entered with
${lab.hosts.map((host) => `  ${host.name} (${host.address})   ${enter(host)}`).join('\n')}
and there for example
  overlayd status
${story.hints.map((hint) => `  ${hint}`).join('\n')}
  kill -9 $(pgrep -f agent.cjs)               (traffic goes on; to start it again:)
  overlayd agent --data-dir ${lab.directory}/h1/data &
Logs: ${lab.directory}/h1/agent.log and so on.
To end it:
  npm run demo -- --stop`);
}

function stop(): void {
  if (!existsSync(KEPT)) {
    console.log('no demo is running');
    return;
  }
  const kept = JSON.parse(readFileSync(KEPT, 'utf8')) as Kept;
  for (const { pid, started } of kept.holders) if (startOf(pid) === started) killTree(pid);
  const ours = dirname(kept.directory) === tmpdir() && basename(kept.directory).startsWith('overlayd-lab-');
  if (ours) {
    rmSync(kept.directory, { recursive: true, force: true, maxRetries: 10 });
    removeControlGroups((lab) => lab === basename(kept.directory));
  }
  rmSync(KEPT);
  console.log('the demo has ended; nothing of it is left');
}

/** Start time of a process in clock ticks since boot (proc(5), `stat`, field 22). */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

const STORIES = ['--docker', '--ipv6', '--encrypt'];
const FLAGS = [...STORIES, '--keep', '--stop'];
const USAGE = 'usage: npm run demo [-- [--docker | --ipv6 | --encrypt] [--keep] | --stop]';

const args = process.argv.slice(2);
const keepRunning = args.includes('--keep');
const withDocker = args.includes('--docker');
const family = args.includes('--ipv6') ? 6 : 4;

async function main(): Promise<number> {
  const unknown = args.filter((arg) => !FLAGS.includes(arg));
  if (unknown.length > 0) {
    console.error(`demo: unknown argument ${unknown.join(' ')}; ${USAGE}`);
    return 2;
  }
  const chosen = args.filter((arg) => STORIES.includes(arg));
  if (chosen.length > 1) {
    console.error(`demo: ${chosen.join(' and ')} are demos of their own; ${USAGE}`);
    return 2;
  }
  if (process.getuid?.() !== 0) {
    console.error('demo: it makes network namespaces and has to be run as root');
    return 1;
  }
  if (args.includes('--stop')) {
    stop();
    return 0;
  }
  if (existsSync(KEPT)) {
    console.error('demo: one is running already; end it with: npm run demo -- --stop');
    return 1;
  }
  if (withDocker) {
    const { status } = spawnSync('bash', [join(ROOT, 'deploy/setup.sh'), '--docker'], { stdio: 'inherit' });
    if (status !== 0) return 1;
  }
  const story = args.includes('--encrypt') ? capture : withDocker ? engines : namespaces(family);
  let lab: Lab | undefined;
  let failed = true;
  let interrupted = false;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      interrupted = true;
      void Promise.resolve(lab?.close()).finally(() => process.exit(130));
    });
  }
  try {
    narrator.chapter('Three hosts on a switch, each with an agent');
    lab = await narrator.check('h1, h2 and h3 are up', () => Lab.open({ hosts: 3, agents: true, family }));
    await story.play({ lab, narrator, prompt });
    if (!keepRunning) await clear(lab, story);
    failed = false;
  } catch (error) {
    // Steps fail when their hosts are taken away; the handler above ends the process.
    if (interrupted) return 130;
    narrator.failure(error as Error);
  }
  if (!failed && keepRunning && lab !== undefined) leaveRunning(lab, story);
  else await lab?.close({ keepFiles: failed });
  narrator.summary();
  return failed ? 1 : 0;
}

process.exitCode = await main();
