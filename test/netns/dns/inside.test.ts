/** Names inside of containers of an engine: in the place of its name server, and without a trace when nobody answers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InsideListeners } from '../../../src/adapters/dns/inside.ts';
import type { InsideAsker } from '../../../src/core/dns/names-protocol.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import { withBusyPool } from '../../fixtures/busy-pool.ts';
import { until } from '../../lab/until.ts';
import type { Program } from './lab.ts';
import { isAlive, NamesLab } from './names-lab.ts';

const names = new NamesLab('in');
const { lab } = names;
const OURS = '10.77.0.9';
const ENGINES = '198.51.100.7';
/** As Docker writes them, but for the port. */
const ENGINE_RULES = `table ip nat {
  chain OUTPUT {
    type nat hook output priority -100
    ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:5353
    ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:5353
  }
}`;

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

let box: ChildProcess;
let engine: Program;

/** A container: a process in a namespace of its own, where its engine answers names, with a link to the network's. */
beforeEach(async () => {
  await lab.add('box');
  await lab.cable('web', 'boxport', '10.78.0.1/16', 'box', 'eth0', '10.78.0.2/16');
  engine = await lab.start('box', 'upstream.ts', '127.0.0.11', '5353');
  await lab.run('box', 'nft', ENGINE_RULES);
  box = spawn('nsenter', [`--net=${lab.path('box')}`, 'sleep', 'infinity'], { stdio: 'ignore' });
  await until('the container', async () => (await lab.run('box', 'ps', 'x')).includes('sleep infinity'));
});

afterEach(async () => {
  box.kill('SIGKILL');
  if (await hasLink()) await lab.ip('web', 'link del boxport');
  await engine.stop();
  await lab.remove('box').catch(() => undefined);
});

const hasLink = async () => (await lab.run('web', 'ip', 'link')).includes('boxport');

const askerOf = (more: Partial<InsideAsker> = {}): InsideAsker => ({
  ...{ key: 'box', namespacePath: `/proc/${box.pid}/ns/net`, process: box.pid },
  ...{ networkId: 'w', address: '10.77.0.2', engineKnows: true },
  ...more,
});

async function ask(...words: readonly string[]): Promise<string> {
  const answer = await lab.run('box', 'dig', '@127.0.0.11', '+tries=1', '+time=10', ...words);
  const status = /status: (\w+)/.exec(answer)?.[1];
  const addresses = [...answer.matchAll(/[ \t]IN[ \t]+A[ \t]+(\S+)/g)].map(([, address]) => address);
  return addresses.length > 0 ? addresses.join(' ') : String(status);
}

it('answers what is ours, and asks the engine for all the rest', async () => {
  const { sessions, start } = names.keeperOf();
  await start();
  expect(await ask('api')).toBe(ENGINES);
  await sessions[0]!.ask({ kind: 'serve', container: askerOf() });
  for (const how of ['+notcp', '+tcp']) {
    expect(await ask('api', how)).toBe(OURS);
    expect(await ask('api.web', how)).toBe(OURS);
    expect(await ask('other', how)).toBe(ENGINES);
    expect(await ask('www.example', how)).toBe(ENGINES);
    // Cut by UDP, as the engine has it.
    expect((await ask('big.example', how)).split(' ')).toHaveLength(120);
  }
  expect(await ask('nobody.overlayd.internal')).toBe('NXDOMAIN');
  // Where the engine knows no more than we do.
  await sessions[0]!.ask({ kind: 'serve', container: askerOf({ engineKnows: false }) });
  expect(await ask('api')).toBe(OURS);
  expect(await ask('other')).toBe('NXDOMAIN');
  await sessions[0]!.ask({ kind: 'leave', key: 'box' });
  expect(await ask('api')).toBe(ENGINES);
  expect(await lab.run('box', 'nft', 'list', 'tables')).toBe('table ip nat\n');
});

it('asks the engine for everything while the network is not known', async () => {
  const { sessions, start } = names.keeperOf();
  await start();
  await sessions[0]!.ask({ kind: 'serve', container: askerOf({ networkId: 'x', engineKnows: false }) });
  expect(await ask('api')).toBe(ENGINES);
});

it('answers until the engine is asked again, however long the kernel takes for that', async () => {
  const handler = (query: Uint8Array) => query.with(2, query[2]! | 0x80);
  const inside = new InsideListeners({ handler, logger: silent });
  await inside.serve(askerOf());
  let left: Promise<void> | undefined;
  await withBusyPool(async () => {
    left = inside.leave('box');
    for (const how of ['+notcp', '+tcp']) expect(await ask('api', how)).toBe('NOERROR');
  });
  await left;
  expect(await ask('api')).toBe(ENGINES);
});

it('cannot be undone from inside, and is gone with the process that answers', async () => {
  const { keeper, sessions, start } = names.keeperOf();
  await start();
  const first = await names.pid();
  await sessions[0]!.ask({ kind: 'serve', container: askerOf() });
  await lab.run('box', 'nft', 'flush', 'ruleset');
  expect(await ask('api')).toBe(OURS);
  await lab.run('box', 'nft', ENGINE_RULES);
  process.kill(first, 'SIGKILL');
  // With its sockets, which other threads of it may have for a moment longer than it is seen.
  await until('the process and its table to be gone', async () => {
    return !isAlive(first) && (await lab.run('box', 'nft', 'list', 'tables')) === 'table ip nat\n';
  });
  expect(await ask('api')).toBe(ENGINES);
  await until('another session', () => sessions.length > 1);
  await sessions.at(-1)!.ask({ kind: 'serve', container: askerOf() });
  expect(await ask('api')).toBe(OURS);
  expect(keeper.problem).toBeUndefined();
});

it('finds the engine again where it listens after its restart', async () => {
  const { sessions, start } = names.keeperOf();
  await start();
  await sessions[0]!.ask({ kind: 'serve', container: askerOf() });
  expect(await ask('other')).toBe(ENGINES);
  await engine.stop();
  expect(await ask('other')).toBe('SERVFAIL');
  expect(await ask('api')).toBe(OURS);
  engine = await lab.start('box', 'upstream.ts', '127.0.0.11', '5454');
  await lab.run('box', 'nft', `delete table ip nat; ${ENGINE_RULES.replaceAll('5353', '5454')}`);
  for (let again = 0; again < 20; again++) expect(await ask('other')).toBe(ENGINES);
});

it('goes with the container, whether an agent runs or not', async () => {
  const { sessions, start, stop } = names.keeperOf();
  await start();
  await sessions[0]!.ask({ kind: 'serve', container: askerOf() });
  expect(await ask('api')).toBe(OURS);
  stop();
  await until('the agent to be gone', () => sessions[0]!.ended.aborted);
  await engine.stop();
  await lab.remove('box');
  expect(await hasLink()).toBe(true);
  box.kill('SIGKILL');
  await once(box, 'exit');
  // The kernel takes the link away with its namespace, which an open socket would keep.
  await until('the namespace to be gone', async () => !(await hasLink()));
  engine = await lab.start('web', 'upstream.ts', '127.0.0.1', '5353');
});

it('is handed over to another release without a question lost', async () => {
  const [one, two] = [names.keeperOf(), names.keeperOf({ program: await names.release() })];
  await one.start();
  const first = await names.pid();
  await one.sessions[0]!.ask({ kind: 'serve', container: askerOf() });
  const asker = await lab.start('box', 'asker.ts', '127.0.0.11', '500', '200', 'api', 'api.web');
  one.stop();
  await two.start();
  expect(await names.pid()).not.toBe(first);
  expect(JSON.parse(await asker.ask('stop'))).toMatchObject({ lost: [], wrong: [] });
  await until('the old one to end', () => !isAlive(first));
  for (const how of ['+notcp', '+tcp']) {
    expect(await ask('api', how)).toBe(OURS);
    expect(await ask('other', how)).toBe(ENGINES);
  }
  // What an agent does not name any more goes.
  await two.sessions[0]!.ask({ kind: 'keep-inside', keys: [] });
  expect(await ask('api')).toBe(ENGINES);
});

it('refuses what is no container any more', async () => {
  const { sessions, start } = names.keeperOf();
  await start();
  const [session] = sessions;
  const gone = askerOf();
  box.kill('SIGKILL');
  await once(box, 'exit');
  for (const container of [
    gone,
    { ...gone, namespacePath: lab.path('box') },
    { ...gone, namespacePath: '/proc/self/ns/net' },
  ]) {
    await expect(session!.ask({ kind: 'serve', container })).rejects.toMatchObject({ code: 'data-path-failed' });
  }
  expect(await ask('api')).toBe(ENGINES);
});
