/**
 * What passes between hosts, captured, while containers say the same words all the time in an encrypted network and others in one
 * in clear: of the former nothing is seen, whatever happens to hosts, agents, keys and tunnels; of the latter all is.
 */
import { afterEach, expect, test } from 'vitest';
import { Capture } from '../lab/capture.ts';
import { joinArguments, untilEncryptable, untilReady } from '../lab/cluster.ts';
import type { Host, HostProcess } from '../lab/host.ts';
import { untilReaches } from '../lab/network.ts';
import { startTalking } from '../lab/talker.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3 });
const one = () => lab().host(1);
const two = () => lab().host(2);
const three = () => lab().host(3);

const SECRET = '10.50.0';
const PLAIN = '10.51.0';
const SECRET_WORDS = 'said in a secret network';
const PLAIN_WORDS = 'said in a network in clear';
/** So many frames of each kind pass before what was done is taken for seen. */
const MANY = 200;

let line: readonly string[];
let wire: Capture;
let secretVni: number;
let isClear = false;
const talkers: HostProcess[] = [];

async function createSecret(): Promise<void> {
  await untilEncryptable(one());
  await one().mustOverlayd('network', 'create', '-o', 'encrypted', '--subnet', `${SECRET}.0/24`, 'secret');
  secretVni = (await one().json('network', 'inspect', 'secret'))[0].Vni;
}

/** A container in both networks, at the places of the host's number, which talks to those of the others. */
async function attachTalking(host: Host, number: number): Promise<void> {
  const ref = await host.container(`c${number}`);
  await host.mustOverlayd('network', 'connect', '--ip', `${PLAIN}.${number + 1}`, 'plain', ref);
  await host.mustOverlayd('network', 'connect', '--ip', `${SECRET}.${number + 1}`, 'secret', ref);
  const others = [1, 2, 3].filter((each) => each !== number).map((each) => each + 1);
  for (const [words, subnet] of [
    [SECRET_WORDS, SECRET],
    [PLAIN_WORDS, PLAIN],
  ] as const) {
    talkers.push(await startTalking(host, `c${number}`, words, ...others.map((each) => `${subnet}.${each}`)));
  }
}

/** More of the network in clear is seen, so that what was said meanwhile in the other one has been as well. */
async function untilMore(): Promise<void> {
  const before = (await wire.count()).words[1]!;
  await until('more to be said in clear', async () => (await wire.count()).words[1]! - before > MANY);
}

async function untilTunnelled(): Promise<void> {
  const before = (await wire.count()).tunnelled;
  await until('more to be said in the tunnels', async () => (await wire.count()).tunnelled - before > MANY);
}

async function untilBothReach(): Promise<void> {
  await untilReaches(two(), 'c2', `${SECRET}.2`);
  await untilReaches(one(), 'c1', `${SECRET}.3`);
}

async function signalWireguard(host: Host, signal: string): Promise<void> {
  await host.must(['sh', '-c', `kill -${signal} $(pgrep -x wireguard-go)`]);
}

afterEach(async () => {
  const { lost, vxlan, words } = await wire.count();
  expect(lost).toBe(0);
  expect(words[0]).toBe(0);
  expect(vxlan[secretVni]).toBeUndefined();
  expect(words[1]! > 0).toBe(isClear);
});

test('of the first member nothing is seen', async () => {
  wire = await Capture.start(lab().wire, [SECRET_WORDS, PLAIN_WORDS]);
  line = joinArguments(await one().mustOverlayd('init', '--advertise-addr', one().address));
  await createSecret();
  // Without a way out: what a container sends to a network in which it is no more goes where its default route leads.
  await one().mustOverlayd('network', 'create', '--internal', '--subnet', `${PLAIN}.0/24`, 'plain');
  await attachTalking(one(), 1);
  await untilReady([one()]);
});

test('nor while a host joins and its containers begin to talk', async () => {
  await two().mustOverlayd(...line, '--advertise-addr', two().address);
  await attachTalking(two(), 2);
  isClear = true;
  await untilBothReach();
  await untilMore();
  await untilTunnelled();
});

test('nor while agents end and start', async () => {
  await two().agent.kill();
  await untilMore();
  await untilTunnelled();
  await one().agent.stop();
  await untilMore();
  await Promise.all([one().agent.start(), two().agent.start()]);
  await untilReady([one(), two()]);
  await untilBothReach();
});

test('nor while rules are flushed', async () => {
  for (const host of [one(), two()]) await host.must(['nft', 'flush', 'ruleset']);
  await untilMore();
  await untilBothReach();
});

test('nor while a key is exchanged', async () => {
  const keysOf = async () => (await one().json('node', 'inspect', 'h1'))[0].Wireguard.Keys;
  const [before] = await keysOf();
  await one().mustOverlayd('node', 'rotate-key');
  await until('the new key alone', async () => {
    const keys = await keysOf();
    return keys.length === 1 && keys[0].PublicKey !== before.PublicKey;
  });
  await untilBothReach();
  await untilTunnelled();
});

test('nor while wireguard-go is stopped, and killed, with an agent and without', async ({ skip }) => {
  const [{ Wireguard }] = await one().json('node', 'inspect', 'h1');
  skip(Wireguard.Backend !== 'wireguard-go', 'the kernel has WireGuard');
  await signalWireguard(one(), 'STOP');
  await untilMore();
  await signalWireguard(one(), 'CONT');
  await untilBothReach();
  await signalWireguard(one(), 'KILL');
  await untilMore();
  await untilBothReach();
  await one().agent.stop();
  await signalWireguard(one(), 'KILL');
  await untilMore();
  await one().agent.start();
  await untilMore();
  await untilBothReach();
});

test('nor while the network is removed and made anew', async () => {
  for (const [host, number] of [
    [one(), 1],
    [two(), 2],
  ] as const) {
    await host.mustOverlayd('network', 'disconnect', 'secret', `netns:c${number}`);
  }
  await one().mustOverlayd('network', 'rm', 'secret');
  await untilMore();
  await createSecret();
  for (const [host, number] of [
    [one(), 1],
    [two(), 2],
  ] as const) {
    await host.mustOverlayd('network', 'connect', '--ip', `${SECRET}.${number + 1}`, 'secret', `netns:c${number}`);
  }
  await untilBothReach();
  await untilMore();
  await untilTunnelled();
});

test('nor while a host comes and leaves', async () => {
  await three().mustOverlayd(...line, '--advertise-addr', three().address);
  await attachTalking(three(), 3);
  await untilReaches(three(), 'c3', `${SECRET}.2`);
  await untilReaches(two(), 'c2', `${SECRET}.4`);
  await untilMore();
  for (const talker of talkers.slice(-2)) await talker.kill('SIGKILL');
  for (const name of ['secret', 'plain']) {
    await three().mustOverlayd('network', 'disconnect', name, 'netns:c3');
  }
  await three().mustOverlayd('leave');
  await untilMore();
  await untilBothReach();
});
