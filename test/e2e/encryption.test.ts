/** Encrypted networks on three hosts, beside plain ones: what reaches whom, through deaths, and through an exchange of keys. */
import { expect, test } from 'vitest';
import { Uapi } from '../../src/adapters/wireguard/uapi.ts';
import { untilEncryptable, untilFlawless } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches, untilResolves } from '../lab/network.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const PLACE = 'ovl-wg';

const lab = useLab({ hosts: 3, cluster: true });
const one = () => lab().host(1);
const two = () => lab().host(2);
const three = () => lab().host(3);
const inPlace = (host: Host, ...argv: readonly string[]) => host.run(['ip', 'netns', 'exec', PLACE, ...argv]);
const keysOf = async (host: Host) => (await host.json('node', 'inspect', host.name))[0].Wireguard.Keys;

/** The processes that run devices of that host, by device. */
async function processes(host: Host): Promise<ReadonlyMap<string, number>> {
  const { stdout } = await host.run(['pgrep', '-a', '-x', 'wireguard-go']);
  const found = stdout.split('\n').flatMap((line) => {
    const [, pid, device] = /^(\d+) .*\b(ovlwg[01])$/.exec(line.trim()) ?? [];
    return pid === undefined ? [] : [[device!, Number(pid)] as const];
  });
  return new Map(found);
}

test('a network that is encrypted, and one that is not, between the same hosts', async () => {
  expect((await one().run(['ip', 'netns', 'list'])).stdout).not.toContain(PLACE);
  await untilEncryptable(one());
  const create = ['network', 'create', '--subnet'];
  await one().mustOverlayd(...create, '10.81.0.0/24', '--opt', 'encrypted', 'safe');
  await two().mustOverlayd(...create, '10.82.0.0/24', 'plain');
  for (const [at, host] of [one(), two(), three()].entries()) {
    expect(await attach(host, `s${at + 1}`, 'safe')).toBe(`10.81.0.${at + 2}`);
    expect(await attach(host, `p${at + 1}`, 'plain')).toBe(`10.82.0.${at + 2}`);
  }
  for (const kind of ['s', 'p']) {
    await untilReaches(one(), `${kind}1`, `${kind}2`);
    await untilReaches(two(), `${kind}2`, `${kind}3`);
    await untilReaches(three(), `${kind}3`, `${kind}1`);
  }
  await untilResolves(one(), 's1', 's3', ['10.81.0.4']);
  // With VXLAN's headers of all segments it is what wireguard-go is given in one piece.
  const linkOf = (container: string) => one().mustExec(container, ['ip', '-d', 'link', 'show', 'eth0']);
  expect(await linkOf('s1')).toContain('gso_max_size 60000');
  expect(await linkOf('p1')).not.toContain('gso_max_size 60000');
  await untilFlawless(one(), two(), three());
});

test('nothing of the data path notices that agents end', async () => {
  const pinging = await startPinging(one(), 's1', '10.81.0.3');
  const before = await processes(two());
  await two().agent.stop();
  await two().agent.start();
  await untilFlawless(two());
  expect(await processes(two())).toEqual(before);
  expect(await pinging.end()).toEqual([]);
});

test('a wireguard-go that is killed is back, and packets pass again', async () => {
  const [[device, pid] = ['', 0]] = await processes(two());
  expect(device).toBe('ovlwg0');
  await until('the agent to have seen it', async () => {
    const { Peers } = await two().json('status');
    return Peers.length === 2 && Peers.every(({ Tunnel }: { Tunnel: object | null }) => Tunnel);
  });
  await two().must(['kill', '-KILL', String(pid)]);
  await until('another one', async () => {
    const now = (await processes(two())).get('ovlwg0');
    return now !== undefined && now !== pid;
  });
  await untilReaches(one(), 's1', '10.81.0.3');
  await untilReaches(two(), 's2', '10.81.0.4');
  await untilFlawless(two());
  expect((await two().json('status')).Wireguard).toMatchObject({ KeyExchange: '', Endings: 1 });
});

test('a key is exchanged while packets flow, and none is lost', async () => {
  const [before] = await keysOf(two());
  const flows = await Promise.all([
    startPinging(one(), 's1', '10.81.0.3'),
    startPinging(two(), 's2', '10.81.0.4'),
    startPinging(three(), 's3', '10.81.0.3'),
  ]);
  expect(await two().mustOverlayd('node', 'rotate-key')).toBe(`The WireGuard key of ${two().name} is exchanged.`);
  for (const flow of flows) expect(await flow.end()).toEqual([]);
  const [after, ...others] = await keysOf(two());
  expect(others).toEqual([]);
  expect(after.PublicKey).not.toBe(before.PublicKey);
  expect(after.Port).toBe(before.Port + 1);
  await until('the old device to be gone', async () => [...(await processes(two())).keys()].join() === 'ovlwg1');
  await one().mustOverlayd('ipam', 'check');
  await untilFlawless(one(), two(), three());
}, 300_000);

test('a host that leaves has nothing of it any more, and nobody sends to it', async () => {
  const [{ PublicKey }] = await keysOf(three());
  await three().mustOverlayd('leave', '--force');
  expect([...(await processes(three())).keys()]).toEqual([]);
  expect((await three().run(['ip', 'netns', 'list'])).stdout).not.toContain(PLACE);
  for (const [host, device] of [
    [one(), 'ovlwg0'],
    [two(), 'ovlwg1'],
  ] as const) {
    await until('its key to be gone from the others', async () => {
      const { peers } = (await new Uapi(host.path('/run/wireguard')).get(device))!;
      return peers.length === 1 && peers.every(({ publicKey }) => publicKey !== PublicKey);
    });
  }
  await one().mustOverlayd('ipam', 'check');
  await untilReaches(one(), 's1', 's2');
});

test('with the last encrypted network the devices go', async () => {
  await one().mustOverlayd('network', 'disconnect', 'safe', 'netns:s1');
  await two().mustOverlayd('network', 'disconnect', 'safe', 'netns:s2');
  await one().mustOverlayd('network', 'rm', 'safe');
  for (const host of [one(), two()]) {
    await until('devices to be gone', async () => (await processes(host)).size === 0);
    // It goes after the last device that was in it.
    await until('their namespace to be gone', async () => (await inPlace(host, 'true')).code !== 0);
  }
  await untilReaches(one(), 'p1', 'p2');
  await untilFlawless(one(), two());
});
