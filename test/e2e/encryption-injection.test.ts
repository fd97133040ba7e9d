/**
 * Frames in clear with the right VNI, MACs and addresses of an encrypted network, by everybody who can send packets to a member's
 * host: none is delivered, whatever the host's rules are, whether or not an agent runs there. The same frames in a network in clear are.
 */
import { expect, test } from 'vitest';
import { Capture } from '../lab/capture.ts';
import { joinArguments, untilEncryptable } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { type Inner, macAt, macOf, type Outer, type Place, sendFrames, vxlanFrame } from '../lab/injection.ts';
import { untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2 });
const one = () => lab().host(1);
const two = () => lab().host(2);

const SECRET = { vni: 4096, subnet: '10.50.0', words: 'said in a secret network' };
const PLAIN = { vni: 4097, subnet: '10.51.0', words: 'said in a network in clear' };
const COPIES = 3;
const ACCEPT_ALL = `table inet administrator {
  chain prerouting { type filter hook prerouting priority -500; policy accept; accept; }
  chain input { type filter hook input priority -500; policy accept; accept; }
  chain forward { type filter hook forward priority -500; policy accept; accept; }
  chain output { type filter hook output priority -500; policy accept; accept; }
}`;

let stranger: Host;
let line: readonly string[];
/** In the container of h1 that is aimed at, and on h1 itself. */
let inside: Capture;
let arriving: Capture;

/** As the other container of the network says it. */
const inner = ({ vni, subnet, words }: typeof SECRET): Inner => ({
  ...{ vni, words },
  ...{ from: `${subnet}.3`, to: `${subnet}.2` },
});

/** Both networks have a container at the same place of their subnets. */
async function attachTo(host: Host, container: string, number: number): Promise<void> {
  const ref = await host.container(container);
  for (const [name, { subnet }] of Object.entries({ plain: PLAIN, secret: SECRET })) {
    await host.mustOverlayd('network', 'connect', '--ip', `${subnet}.${number}`, name, ref);
  }
}

/** Inside of the tunnels. */
async function innerVtep(host: Host): Promise<string> {
  const text = await host.must(['ip', '-n', 'ovl-wg', '-4', '-o', 'address', 'show', 'dev', 'ovlwg0']);
  return /inet (198\.18\.[\d.]+)/.exec(text)![1]!;
}

/** Sends the inner frame to h1 from all sources to all addresses, some times each. */
async function shoot(
  place: Place,
  what: typeof SECRET,
  sources: readonly string[],
  targets: readonly string[] = [one().address],
): Promise<void> {
  const sender = await macOf(place);
  const receiver =
    place.container === undefined ? await macOf({ host: one(), link: 'eth0' }) : macAt(`${PLAIN.subnet}.1`);
  const outers = sources.flatMap((from) => targets.map((to): Outer => ({ sender, receiver, from, to })));
  const frames = outers.flatMap((outer) => Array<string>(COPIES).fill(vxlanFrame(outer, inner(what))));
  await sendFrames(place, frames);
  // What is answered now was sent after all of them.
  const from = place.host === one() ? two() : place.host;
  await from.must(['ping', '-n', '-q', '-c', '2', '-i', '0.05', one().address]);
}

/** Of each network's words. */
async function delivered(): Promise<{ readonly secret: number; readonly plain: number }> {
  const { lost, words } = await inside.count();
  expect(lost).toBe(0);
  return { secret: words[0]!, plain: words[1]! };
}

/** Frames of the encrypted network in clear that the host's table dropped as they came in. */
async function counted(): Promise<number> {
  const chain = await one().must(['nft', 'list', 'chain', 'inet', 'overlayd', 'input']);
  const counter = /@encrypted counter packets (\d+)/.exec(chain);
  if (counter === null) throw new Error(`no rule counts what comes in clear:\n${chain}`);
  return Number(counter[1]);
}

/** Packets that the host's table did not let out. */
async function keptBack(host: Host): Promise<number> {
  const chain = await host.must(['nft', 'list', 'chain', 'inet', 'overlayd', 'output']);
  return [...chain.matchAll(/counter packets (\d+) bytes \d+ drop/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}

/** What came in clear is a problem of h1 for minutes, once it was counted: it need not be ready. */
async function untilHeard(): Promise<void> {
  for (const host of lab().hosts) {
    await until(`${host.name} to hear the other one`, async () => {
      const { Peers }: { Peers: readonly { State: string }[] } = await host.json('status');
      return Peers.length === 1 && Peers[0]!.State === 'alive';
    });
  }
}

const fromStranger = (): Place => ({ host: stranger, link: 'eth0' });
const fromMember = (): Place => ({ host: two(), link: 'eth0' });

/** Everybody, in everybody's name, to each address that h1 has. Nothing comes through. */
async function shootAll(): Promise<void> {
  const [from, to] = [await innerVtep(two()), await innerVtep(one())];
  const targets = [one().address, to, to.replace('198.18', '198.19')];
  const names = [stranger.address, two().address, from, from.replace('198.18', '198.19')];
  const before = await arriving.count();
  await shoot(fromStranger(), SECRET, names, targets);
  await shoot(fromMember(), SECRET, names, targets);
  expect((await arriving.count()).words[0]! - before.words[0]!).toBeGreaterThanOrEqual(
    2 * COPIES * names.length * targets.length,
  );
  for (const [host, container] of [
    [one(), 'x1'],
    [two(), 'x2'],
  ] as const) {
    const address = `${PLAIN.subnet}.${host === one() ? 4 : 5}`;
    await shoot({ host, container, link: 'eth0' }, SECRET, [address, ...names], targets);
  }
  expect((await delivered()).secret).toBe(0);
}

test('the first member takes nothing, before there is another', async () => {
  stranger = await lab().addHost('stranger', 99);
  line = joinArguments(await one().mustOverlayd('init', '--advertise-addr', one().address));
  await untilEncryptable(one());
  await one().mustOverlayd('network', 'create', '-o', 'encrypted', '--subnet', `${SECRET.subnet}.0/24`, 'secret');
  await one().mustOverlayd('network', 'create', '--subnet', `${PLAIN.subnet}.0/24`, 'plain');
  expect((await one().json('network', 'inspect', 'secret'))[0].Vni).toBe(SECRET.vni);
  await attachTo(one(), 'c1', 2);
  const words = [SECRET.words, PLAIN.words];
  inside = await Capture.start(one(), words, 'c1');
  arriving = await Capture.start(one(), words);
  const before = await counted();
  await shoot({ host: stranger, link: 'eth0' }, SECRET, [stranger.address, two().address, one().address]);
  expect((await arriving.count()).words[0]).toBeGreaterThanOrEqual(3 * COPIES);
  // The kernel itself takes nothing in this host's own name from outside.
  expect((await counted()) - before).toBe(2 * COPIES);
  expect(await delivered()).toEqual({ secret: 0, plain: 0 });
});

test('of a network in clear a member’s frames are delivered, and those in a member’s name', async () => {
  await two().mustOverlayd(...line, '--advertise-addr', two().address);
  await untilHeard();
  await attachTo(two(), 'c2', 3);
  for (const [host, name, number] of [
    [one(), 'x1', 4],
    [two(), 'x2', 5],
  ] as const) {
    const ref = await host.container(name);
    await host.mustOverlayd('network', 'connect', '--ip', `${PLAIN.subnet}.${number}`, 'plain', ref);
  }
  for (const { subnet } of [PLAIN, SECRET]) await untilReaches(two(), 'c2', `${subnet}.2`);
  await shoot(fromMember(), PLAIN, [two().address]);
  expect(await delivered()).toEqual({ secret: 0, plain: COPIES });
  await shoot(fromStranger(), PLAIN, [stranger.address, two().address]);
  expect(await delivered()).toEqual({ secret: 0, plain: 2 * COPIES });
});

test('of an encrypted one nobody’s are, and they are counted', async () => {
  const before = await counted();
  await shootAll();
  // From the stranger and the member, in the names of both, to the host's own address.
  expect((await counted()) - before).toBeGreaterThanOrEqual(2 * 2 * COPIES);
  const names = [stranger.address, `h2 (${two().address})`];
  await until('status to name them', async () => {
    const problems: readonly string[] = (await one().json('status')).Problems;
    return names.every((name) => problems.some((problem) => problem.includes(`came in clear from ${name} `)));
  });
});

test('nor what a member’s root sends by a socket or a tunnel’s device of his own', async () => {
  const before = await keptBack(two());
  const local = ['id', String(SECRET.vni), 'local', two().address, 'remote', one().address, 'dstport', '4789'];
  await two().must(['ip', 'link', 'add', 'own', 'type', 'vxlan', ...local]);
  await two().must(['ip', 'link', 'set', 'own', 'up']);
  const said = vxlanFrame({ sender: '', receiver: '', from: '0.0.0.0', to: '0.0.0.0' }, inner(SECRET));
  // What is behind the outer headers: Ethernet without MACs, IP, UDP and VXLAN.
  await sendFrames({ host: two(), link: 'own' }, Array<string>(COPIES).fill(said.slice(2 * (2 + 20 + 8 + 8))));
  const datagram = Buffer.from(said.slice(2 * (2 + 20 + 8)), 'hex')
    .toString('hex')
    .replace(/../g, '\\x$&');
  await two().run(['bash', '-c', `env printf '${datagram}' > /dev/udp/${one().address}/4789`]);
  await two().must(['ping', '-n', '-q', '-c', '2', '-i', '0.05', one().address]);
  expect((await delivered()).secret).toBe(0);
  // Those of the device, and that of the socket.
  expect((await keptBack(two())) - before).toBeGreaterThanOrEqual(COPIES + 1);
  await two().must(['ip', 'link', 'delete', 'own']);
});

test('nor with an administrator’s rules that accept all', async () => {
  await one().must(['nft', '-f', '-'], { input: ACCEPT_ALL });
  await shootAll();
});

test('nor while the rules that somebody flushed are not back yet', async () => {
  await one().must(['nft', 'flush', 'ruleset']);
  await shootAll();
  await until('the rules to be back', async () => (await counted()) >= 0);
  await shootAll();
});

test('nor with the agent stopped, with and without rules', async () => {
  await one().agent.stop();
  await shootAll();
  await one().must(['nft', 'flush', 'ruleset']);
  await shootAll();
  await one().must(['nft', '-f', '-'], { input: ACCEPT_ALL });
  await shootAll();
  const { plain } = await delivered();
  // There really is no rule any more.
  await shoot(fromStranger(), PLAIN, [stranger.address]);
  expect(await delivered()).toEqual({ secret: 0, plain: plain + COPIES });
});

test('nor while the agent starts', async () => {
  const started = one().agent.start().then(untilHeard);
  let isReady = false;
  void started.finally(() => {
    isReady = true;
  });
  while (!isReady) await shootAll();
  await started;
  await shootAll();
  await untilReaches(two(), 'c2', `${SECRET.subnet}.2`);
});
