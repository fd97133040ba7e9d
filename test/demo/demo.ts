/**
 * `npm run demo`: three hosts on this machine (in namespaces, nothing outside of them is touched), real agents, the
 * bundled etcd, two networks. `-- --keep` leaves it running, `-- --stop` ends it.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { joinArguments, untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { killTree } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { Narrator } from './narrator.ts';

const KEPT = join(tmpdir(), 'overlayd-demo.json');

interface Kept {
  readonly directory: string;
  /** The processes that hold the namespaces, with when they started: a process id alone may be another's by now. */
  readonly holders: readonly { readonly pid: number; readonly started: string }[];
}

const narrator = new Narrator();

/** Types an overlayd command on a host and shows what it prints. */
async function type(host: Host, ...args: readonly string[]): Promise<string> {
  return narrator.command(`${host.name}# overlayd ${args.join(' ')}`, () => host.mustOverlayd(...args));
}

/** Runs something in a container. With `fails`, it has to fail. */
async function typeIn(host: Host, container: string, argv: readonly string[], fails = false): Promise<string> {
  const line = `${host.name}# ip netns exec ${container} ${argv.join(' ')}`;
  return narrator.command(line, async () => {
    const { code, stdout, stderr } = await host.exec(container, argv);
    const said = `${stdout}${stderr}`.trim();
    if (fails === (code !== 0)) return fails ? `${said}\n(as it should be: it fails)` : said;
    throw new Error(`${line}\n${fails ? 'should fail, and did not' : `failed with ${code}`}\n${said}`);
  });
}

const ping = (name: string) => ['ping', '-c', '2', '-i', '0.2', '-W', '2', name];

async function play(lab: Lab): Promise<void> {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];

  narrator.chapter('A cluster: one line on the first host, one on each further one');
  const output = await type(one, 'init', '--advertise-addr', one.address);
  const line = joinArguments(output);
  await type(two, ...line);
  await type(three, ...line);
  await narrator.check('all three see each other', () => untilReady(lab.hosts));
  await type(two, 'node', 'ls');

  narrator.chapter('Two networks, usable on every host at once');
  await type(one, 'network', 'create', '--attachable', 'web');
  await type(three, 'network', 'create', '--attachable', 'db');
  await type(two, 'network', 'ls');

  narrator.chapter('Containers, here plain network namespaces, connected by name');
  for (const host of lab.hosts) {
    await narrator.command(`${host.name}# ip netns add c${host.name.slice(1)}`, async () => {
      await host.container(`c${host.name.slice(1)}`);
      return '';
    });
  }
  await narrator.command(`${three.name}# ip netns add c4`, async () => {
    await three.container('c4');
    return '';
  });
  await type(one, 'network', 'connect', '--name', 'api', '--alias', 'backend', 'web', 'netns:c1');
  await type(two, 'network', 'connect', '--name', 'shop', '--alias', 'backend', 'web', 'netns:c2');
  await type(three, 'network', 'connect', '--name', 'worker', 'web', 'netns:c3');
  await type(three, 'network', 'connect', '--name', 'store', 'db', 'netns:c4');
  await type(one, 'endpoint', 'ls');

  narrator.chapter('They find each other by name, across hosts');
  await narrator.check('every host has heard of every name', async () => {
    await until('backend to be two addresses', async () => {
      const { stdout } = await three.exec('c3', ['getent', 'ahostsv4', 'backend']);
      return new Set(stdout.match(/^[\d.]+/gm)).size === 2;
    });
  });
  await typeIn(two, 'c2', ping('api'));
  await typeIn(three, 'c3', ping('shop.web'));
  await typeIn(three, 'c3', ['getent', 'ahostsv4', 'backend']);

  narrator.chapter('Networks do not see each other');
  await typeIn(three, 'c4', ping('api'), true);
  const address = (await one.json('endpoint', 'inspect', 'api'))[0].IPv4Address.split('/')[0];
  await typeIn(three, 'c4', ['ping', '-c', '1', '-W', '1', address], true);

  narrator.chapter('The way out goes through each container’s own host');
  await typeIn(two, 'c2', ping('www.example'));
  await typeIn(three, 'c4', ping('198.51.100.1'));

  narrator.chapter('The agent is not in the way of traffic');
  await narrator.command(`${one.name}# kill -9 $(pgrep -f agent.cjs)`, async () => {
    await one.agent.kill();
    return '';
  });
  await typeIn(two, 'c2', ping('api'));
  await narrator.command(`${one.name}# overlayd agent`, async () => {
    await one.agent.start();
    return '';
  });
  await narrator.check('everybody is well again', () => untilReady(lab.hosts));
  await type(one, 'status');
}

async function disconnectAll(lab: Lab): Promise<void> {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  narrator.chapter('And away again');
  await type(two, 'network', 'disconnect', 'web', 'netns:c2');
  await narrator.check('shop is unknown', () =>
    until('the name to go', async () => (await three.exec('c3', ['getent', 'ahostsv4', 'shop'])).code !== 0),
  );
  await type(one, 'network', 'disconnect', 'web', 'netns:c1');
  await type(three, 'network', 'disconnect', 'web', 'netns:c3');
  await type(three, 'network', 'disconnect', 'db', 'netns:c4');
  await type(one, 'network', 'rm', 'web', 'db');
  for (const host of lab.hosts) {
    await narrator.check(`${host.name} has no namespace of overlayd's left`, () =>
      until('the namespaces to go', async () => !/^ovl/m.test(await host.must(['ip', 'netns', 'list']))),
    );
  }
}

function leaveRunning(lab: Lab): void {
  const holders = lab.keep().map((pid) => ({ pid, started: startOf(pid) ?? '' }));
  writeFileSync(KEPT, JSON.stringify({ directory: lab.directory, holders } satisfies Kept), { mode: 0o600 });
  const enter = (host: Host) => `nsenter -t ${host.pid} -a env PATH="${lab.path}" bash`;
  console.log(`
It goes on running. Each host is entered with
${lab.hosts.map((host) => `  ${host.name} (${host.address})   ${enter(host)}`).join('\n')}
and there for example
  overlayd status
  overlayd network inspect web
  ip netns exec c3 ping shop                  (on h3; containers: c1 on h1, c2 on h2, c3 and c4 on h3)
  ip netns add c9 && overlayd network connect --name mine web netns:c9
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
  if (ours) rmSync(kept.directory, { recursive: true, force: true });
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

const args = process.argv.slice(2);
const keepRunning = args.includes('--keep');
const unknown = args.filter((arg) => arg !== '--keep' && arg !== '--stop');

async function main(): Promise<number> {
  if (unknown.length > 0) {
    console.error(`demo: unknown argument ${unknown.join(' ')}; usage: npm run demo [-- --keep | --stop]`);
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
    lab = await narrator.check('h1, h2 and h3 are up', () => Lab.open({ hosts: 3, agents: true }));
    await play(lab);
    if (!keepRunning) await disconnectAll(lab);
    failed = false;
  } catch (error) {
    // Steps fail when their hosts are taken away; the handler above ends the process.
    if (interrupted) return 130;
    narrator.failure(error as Error);
  }
  if (!failed && keepRunning && lab !== undefined) leaveRunning(lab);
  else await lab?.close({ keepFiles: failed });
  narrator.summary();
  return failed ? 1 : 0;
}

process.exitCode = await main();
