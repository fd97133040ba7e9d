/** Containers that come and go by the thousand leave nothing behind: neither on the hosts, nor in the agent, nor where names are answered. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connect, disconnect, openControl } from '../bench/control.ts';
import { agentPid } from '../lab/agent-process.ts';
import { startAsking } from '../lab/asking.ts';
import { type Host, ROOT } from '../lab/host.ts';
import { attach, untilResolves } from '../lab/network.ts';
import { observeKernel } from '../lab/observation.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const HEAP = join(ROOT, 'test/lab/heap-program.ts');
const LOCK = '/run/overlayd/names.sock.lock';
const PAIRS = 1_600;
/** Measured from then on: until then caches fill, and code is compiled. */
const WARM = 600;
/** Then heaps are measured twice more: what leaks grows both times, where a table that becomes larger does so once. */
const HALF = (PAIRS - WARM) / 2;
/** What a pair may leave behind on a heap. */
const MOST_BYTES = 100;
/** What is kept up to a bound: texts of addresses (`netlink/attributes.ts`), the host's events, ids of what was just there. */
const BOUNDED = ['ipv4Texts', 'macTexts', 'EventHistory', 'RecentIds'];
const LOOKS = 50;
/** A connection that was made anew, or once more, is none that each pair leaves behind. */
const MOST_DESCRIPTORS = 5;

const lab = useLab({ hosts: 2, cluster: true });

/** Of the agent and of the process that answers names, as the host numbers them. */
async function processes(host: Host): Promise<readonly number[]> {
  const [, agent] = /^NSpid:.*\s(\d+)$/m.exec(readFileSync(`/proc/${agentPid(host)}/status`, 'utf8')) ?? [];
  return [agent, await host.must(['cat', LOCK])].map(Number);
}

/** What a process has open, by kind, sorted. */
async function descriptors(host: Host, pid: number): Promise<readonly string[]> {
  // One that has been closed since is passed over.
  const { stdout } = await host.run(['find', `/proc/${pid}/fd`, '-type', 'l', '-printf', '%l\n']);
  return stdout.replace(/\d+/g, 'N').split('\n').sort();
}

/** The least of many looks: in the midst of an audit a few more are open. */
async function leastDescriptors(host: Host, pid: number): Promise<readonly string[]> {
  let least = await descriptors(host, pid);
  for (let look = 1; look < LOOKS; look++) {
    const now = await descriptors(host, pid);
    if (now.length < least.length) least = now;
  }
  return least;
}

/** Kinds of which there are more than before, and how many. */
function moreOf(now: readonly string[], before: readonly string[]): Readonly<Record<string, number>> {
  const count = (all: readonly string[], kind: string) => all.filter((each) => each === kind).length;
  const kinds = [...new Set(now)].map((kind) => [kind, count(now, kind) - count(before, kind)] as const);
  return Object.fromEntries(kinds.filter(([, more]) => more > 0));
}

async function heapBytes(host: Host, pid: number): Promise<number> {
  return Number(await host.must(['node', HEAP, String(pid), ...BOUNDED]));
}

test(`${PAIRS} attaches and detaches`, async () => {
  const [one, two] = lab().hosts as [Host, Host];
  for (const name of ['web', 'brief']) await one.mustOverlayd('network', 'create', name);
  const address = await attach(one, 'stays', 'web', '--name', 'stays');
  await attach(two, 'there', 'web', '--name', 'there');
  for (const name of ['c1', 'c2']) await one.container(name);
  const control = openControl(one);
  let pairs = 0;
  const comeAndGo = async (container: string, count: number) => {
    for (let round = 0; round < count; round++) {
      // `brief` is made with its first container, and taken apart with its last, again and again.
      const network = container === 'c2' && round % 10 === 0 ? 'brief' : 'web';
      pairs += 1;
      await connect(control, network, container, { name: `n${pairs}` });
      await disconnect(control, network, container);
    }
  };
  /** While names are asked for, of here, of there and of the outside. */
  const some = async (count: number) => {
    const names = ['stays', 'there', 'www.example'];
    const gateway = address.replace(/\d+$/, '1');
    const stop = await startAsking(one, 'stays', names, { gateway, least: 1, perSecond: 50 });
    await Promise.all(['c1', 'c2'].map((container) => comeAndGo(container, count / 2)));
    expect(await stop()).toMatchObject({ lost: [], wrong: [] });
    await untilResolves(two, 'there', `n${pairs}`, []);
  };

  const pids = await processes(one);
  // One after the other: their inspectors are at the same place.
  const heaps = async () => [await heapBytes(one, pids[0]!), await heapBytes(one, pids[1]!)];
  await some(WARM / 2);
  // To measure takes memory, some of which stays.
  await heaps();
  await some(WARM / 2);
  const before = {
    kernels: await Promise.all([one, two].map(observeKernel)),
    descriptors: await Promise.all(pids.map((pid) => leastDescriptors(one, pid))),
    heaps: await heaps(),
  };
  await some(HALF);
  const middle = await heaps();
  await some(HALF);
  expect(pairs).toBe(PAIRS);
  await until('all to be as before', async () => {
    expect(await Promise.all([one, two].map(observeKernel))).toEqual(before.kernels);
    const now = await Promise.all(pids.map((pid) => descriptors(one, pid)));
    const more = now.map((all, at) => moreOf(all, before.descriptors[at]!));
    const sums = more.map((kinds) => Object.values(kinds).reduce((sum, each) => sum + each, 0));
    expect(Math.max(...sums), JSON.stringify(more)).toBeLessThanOrEqual(MOST_DESCRIPTORS);
    return true;
  });
  const after = await heaps();
  const left = middle.map((bytes, at) => Math.min(bytes - before.heaps[at]!, after[at]! - bytes) / HALF);
  expect(left[0], 'bytes of a pair in the agent').toBeLessThan(MOST_BYTES);
  expect(left[1], 'bytes of a pair where names are answered').toBeLessThan(MOST_BYTES);
  expect(await processes(one)).toEqual(pids);
  control.close();
});
