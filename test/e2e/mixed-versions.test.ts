/**
 * The first release with levels and this one in one cluster: its hosts go from one to the other while containers talk and ask
 * for names all the time. One goes back on the way, and one afterwards, when it is too late for that.
 */
import { afterAll, expect, test } from 'vitest';
import { SPOKEN_LEVELS } from '../../src/core/levels.ts';
import { pointerOf, startAsking } from '../lab/asking.ts';
import { formCluster, joinArguments, untilEncryptable, untilFlawless, untilReady } from '../lab/cluster.ts';
import { Etcdctl } from '../lab/etcd.ts';
import { type Host, ROOT } from '../lab/host.ts';
import { attach, untilReaches, untilResolves } from '../lab/network.ts';
import { type Pinging, startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

/** It speaks level 1 alone. */
const FIRST = 'ba528efd0bebc635a0e9e40dc6c32f39d2072934';
const SUBNET = '10.80.0.0/24';
const GATEWAY = '10.80.0.1';
/** Of every container at once. */
const ASKING = { gateway: GATEWAY, perSecond: 100, least: 200 };
/** What a network has that level 1 does not know. */
const OF_LEVEL_2 = [['--ipv6'], ['-o', 'multicast=true'], ['-o', 'sticky=true']];
/** The same of level 2, of which level 1 knows nothing either. */
const OF_LEVEL_3 = ['-o', 'encrypted'];
/** What no release has: as a later one may write it. */
const LATER = { since: 'tomorrow', of: [{ nothing: null }] };

/** By host: the address of the container that is there all the time. */
const addresses = new Map<string, string>();
const pings: Pinging[] = [];
let first = '';
const lab = useLab({
  hosts: 4,
  commit: FIRST,
  prepare: async (made) => {
    const hosts = made.hosts.slice(0, 3);
    first = hosts[0]!.checkout;
    await formCluster(hosts);
    await hosts[0]!.mustOverlayd('network', 'create', '--subnet', SUBNET, 'web');
    for (const host of hosts)
      addresses.set(host.name, await attach(host, 'c', 'web', '--name', host.name, '--alias', 'all'));
    for (const [from, to] of pairs(hosts)) await untilReaches(from, 'c', to.name);
    for (const [from, to] of pairs(hosts)) pings.push(await startPinging(from, 'c', addresses.get(to.name)!, 0.02));
  },
});
/** The fourth host comes and goes. */
const members = () => [lab().host(1), lab().host(2), lab().host(3)] as const;
afterAll(async () => {
  for (const ping of pings.splice(0)) await ping.end();
});

function pairs<T>(all: readonly T[]): (readonly [T, T])[] {
  return all.flatMap((one) => all.filter((other) => other !== one).map((other) => [one, other] as const));
}

/** The process that answers names. */
const namesPid = (host: Host) => host.must(['cat', '/run/overlayd/names.sock.lock']);

/**
 * Ends the host's agent and starts the one of that build, while every container asks for names, and none is unanswered. Those
 * of a host whose agent is away may be hidden, so nobody else asks for them meanwhile.
 */
async function restart(host: Host, checkout: string, untilStarted = () => untilReady(members())): Promise<void> {
  const asking = await Promise.all(
    members().map((asker) => {
      const named = members().filter((other) => other !== host || asker === host);
      const names = named.flatMap(({ name }) => [name, `${name}.web`, pointerOf(addresses.get(name)!)]);
      return startAsking(asker, 'c', [...names, 'all', 'www.example'], ASKING);
    }),
  );
  expect(await host.agent.stop()).toBe(0);
  host.checkout = checkout;
  await host.agent.start();
  await untilStarted();
  for (const stop of asking) expect(await stop()).toMatchObject({ lost: [], wrong: [] });
}

/** To another build, names included. */
async function upgrade(host: Host, checkout = ROOT): Promise<void> {
  const before = await namesPid(host);
  await restart(host, checkout);
  await until('names to be answered by its own build', async () => (await namesPid(host)) !== before);
}

let round = 0;

/** What a host makes, of whichever release it is, is the same to the others: containers, and a network of `makers`. */
async function worksTogether(makers: readonly Host[]): Promise<void> {
  round += 1;
  const made = await Promise.all(
    members().map(async (host) => {
      const name = `r${round}-${host.name}`;
      return { host, name, address: await attach(host, name, 'web', '--name', name) };
    }),
  );
  for (const [from, to] of pairs(made)) {
    await untilResolves(from.host, from.name, to.name, [to.address]);
    await untilReaches(from.host, from.name, to.name);
  }
  for (const { host, name } of made) await host.mustOverlayd('network', 'disconnect', 'web', `netns:${name}`);
  for (const [from, to] of pairs(made)) await untilResolves(from.host, 'c', to.name, []);
  for (const maker of makers) {
    const network = `of-${maker.name}-${round}`;
    await maker.mustOverlayd('network', 'create', network);
    for (const { host, name } of made)
      await host.mustOverlayd('network', 'connect', '--name', name, network, `netns:${name}`);
    for (const [from, to] of pairs(made)) await untilReaches(from.host, from.name, to.name);
    for (const { host, name } of made) await host.mustOverlayd('network', 'disconnect', network, `netns:${name}`);
    const another = members().find((host) => host !== maker)!;
    await another.mustOverlayd('network', 'rm', network);
  }
  for (const { host, name } of made) await host.deleteContainer(name);
  await untilFlawless(...members());
}

const levels = async () =>
  (await Promise.all(members().map((host) => host.json('status')))).map(({ Level }) => Level as number);

/** The records whose keys begin so, by key. */
async function records(prefix: string): Promise<Map<string, Record<string, unknown>>> {
  const text = await Etcdctl.ofBundled(lab().host(1)).run('get', '--prefix', `/overlayd/v2/${prefix}`);
  const lines = text.trim().split('\n');
  return new Map(lines.flatMap((key, at) => (at % 2 === 0 ? [[key, JSON.parse(lines[at + 1]!)] as const] : [])));
}

const REWRITTEN = ['cluster', 'networks/', 'dns/', 'nodes/'];

test('one host is upgraded: attach, names and networks work in both directions', async () => {
  const [one, two] = members();
  await one.mustOverlayd('dns', 'add', 'web', 'static-1', 'A', '192.0.2.1');
  await upgrade(two);
  await worksTogether([one, two]);
});

test('a host of either release joins by a member of the other, and leaves', async () => {
  const [one, two] = members();
  const joiner = lab().host(4);
  for (const [asked, checkout] of [
    [one, ROOT],
    [two, first],
  ] as const) {
    await joiner.agent.stop();
    joiner.checkout = checkout;
    await joiner.agent.start();
    await joiner.mustOverlayd(...joinArguments(await asked.mustOverlayd('token', 'create')));
    await untilReady([...members(), joiner]);
    await attach(joiner, 'c', 'web', '--name', joiner.name);
    await untilReaches(joiner, 'c', one.name);
    await untilReaches(two, 'c', joiner.name);
    await joiner.mustOverlayd('network', 'disconnect', 'web', 'netns:c');
    await joiner.deleteContainer('c');
    await joiner.mustOverlayd('leave');
  }
});

test('each keeps in a record what the others wrote', async () => {
  const [one, two, last] = members();
  for (const prefix of REWRITTEN)
    for (const [key, record] of await records(prefix))
      await Etcdctl.ofBundled(one).run('put', key, JSON.stringify({ ...record, later: LATER }));
  await two.mustOverlayd('dns', 'add', 'web', 'static-2', 'A', '192.0.2.2');
  await last.mustOverlayd('dns', 'add', 'web', 'static-3', 'A', '192.0.2.3');
  await one.mustOverlayd('dns', 'rm', 'web', 'static-1');
  await one.mustOverlayd('network', 'subnet', 'add', 'web', '10.81.0.0/24');
  await two.mustOverlayd('network', 'subnet', 'add', 'web', '10.82.0.0/24');
  await last.mustOverlayd('network', 'subnet', 'add', 'web', '10.83.0.0/24');
  for (const host of members()) {
    await untilResolves(host, 'c', 'static-1', []);
    for (const at of [2, 3]) await untilResolves(host, 'c', `static-${at}`, [`192.0.2.${at}`]);
    const [{ IPAM }] = await host.json('network', 'inspect', 'web');
    expect(IPAM.Config.map(({ Subnet }: { Subnet: string }) => Subnet)).toEqual([
      SUBNET,
      ...[1, 2, 3].map((at) => `10.8${at}.0.0/24`),
    ]);
  }
});

async function refusesNextLevels(host: Host, older: string): Promise<void> {
  for (const options of [...OF_LEVEL_2, OF_LEVEL_3]) {
    const refused = await host.overlayd('network', 'create', ...options, 'six');
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(`upgrade it on ${older}, or`) });
  }
}

test('what needs the next level is refused, and the hosts that hold it back are named', async () => {
  const [, two] = members();
  expect(await levels()).toEqual([1, 1, 1]);
  expect(await two.mustOverlayd('status')).toContain('2 as soon as overlayd is upgraded on h1 (0.1.0), h3 (0.1.0)');
  await refusesNextLevels(two, 'h1 (0.1.0), h3 (0.1.0)');
});

test('that host goes back and is upgraded again', async () => {
  const [, two] = members();
  await upgrade(two, first);
  await worksTogether([two]);
  await upgrade(two);
});

test('the second is upgraded: the last one alone holds the level back', async () => {
  const [, two, last] = members();
  await upgrade(last);
  await worksTogether([last]);
  expect(await levels()).toEqual([1, 1, 1]);
  await refusesNextLevels(two, 'h1 (0.1.0)');
});

test('the last one is upgraded: the level rises by itself, its etcd is replaced once, and what was refused is done', async () => {
  const [one, two, last] = members();
  const etcd = await one.must(['pgrep', '-o', '-x', 'etcd']);
  await upgrade(one);
  await until('the level to rise', async () => (await levels()).every((level) => level === SPOKEN_LEVELS.to));
  // It listened on loopback for other members, and does where they reach it.
  const replaced = await until('etcd to be replaced', async () => {
    const { stdout } = await one.run(['pgrep', '-o', '-x', 'etcd']);
    return stdout !== '' && stdout !== etcd && (await one.json('status')).State === 'ready' && stdout;
  });
  await restart(one, ROOT);
  expect(await one.must(['pgrep', '-o', '-x', 'etcd'])).toBe(replaced);
  for (const prefix of REWRITTEN)
    for (const record of (await records(prefix)).values()) expect(record).toMatchObject({ later: LATER });
  await worksTogether([one]);
  await two.mustOverlayd('network', 'create', ...OF_LEVEL_2.flat(), 'six');
  await attach(two, 'six', 'six', '--name', 'six-2');
  await attach(last, 'six', 'six', '--name', 'six-3');
  await untilReaches(two, 'six', 'six-3');
  await untilEncryptable(two);
  await two.mustOverlayd('network', 'create', ...OF_LEVEL_3, 'sealed');
  await attach(two, 'sealed', 'sealed', '--name', 'sealed-2');
  await attach(last, 'sealed', 'sealed', '--name', 'sealed-3');
  await untilReaches(two, 'sealed', 'sealed-3');
});

test('an agent of before comes back too late: it says so, and traffic and names go on', async () => {
  const [, two, last] = members();
  const names = await namesPid(last);
  await restart(last, first, () =>
    until('it to say so', async () => {
      const { Problems } = await last.json('status');
      return Problems.join().includes(`which speaks level 1; the cluster speaks level ${SPOKEN_LEVELS.to}`);
    }),
  );
  expect(await namesPid(last)).toBe(names);
  const refused = await last.overlayd('network', 'create', 'more');
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('install a newer overlayd here') });
  await restart(last, ROOT);
  expect(await namesPid(last)).toBe(names);
  const joined = await lab()
    .host(4)
    .overlayd(...joinArguments(await two.mustOverlayd('token', 'create')));
  expect(joined).toMatchObject({ code: 1, stderr: expect.stringContaining('install a newer overlayd on this host') });
  await worksTogether([last]);
  await untilReaches(two, 'six', 'six-3');
});

test('no packet was lost', async () => {
  for (const ping of pings.splice(0)) expect(await ping.end()).toEqual([]);
});
