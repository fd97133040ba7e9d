/**
 * Tunnels of encrypted networks on the real kernel. In the place of WireGuard's device stands another tunnel: all that
 * counts here is where VXLAN's socket is.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { ipv4Frame } from '../../lab/frames.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

let lab: Lab;
let a: Station;
let b: Station;
let web: NetworkRecord;
let clear: NetworkRecord;

/** As `namespaceId` gives it out. */
const PLACE_ID = 2 ** 30 + 2 ** 24;
const TUNNELS = ['ip', '-n', 'ovl-4096', '-d', '-o', 'link', 'show', 'type', 'vxlan'] as const;

/** `nth`: of its instances that something holds. */
async function makePlace({ host }: Station, number: number, other: Station, nth = 0): Promise<void> {
  const wire = `type vxlan id 1 dstport 5555 local ${host.address} remote ${other.host.address}`;
  await host.must(['ip', 'netns', 'add', 'ovl-wg']);
  await host.must(['ip', 'netns', 'set', 'ovl-wg', String(PLACE_ID + nth * 2 ** 24)]);
  await host.must(['ip', 'link', 'add', 'wire', ...wire.split(' ')]);
  await host.must(['ip', 'link', 'set', 'wire', 'netns', 'ovl-wg']);
  await host.must(['ip', '-n', 'ovl-wg', 'address', 'add', `198.18.0.${number}/15`, 'dev', 'wire']);
  await host.must(['ip', '-n', 'ovl-wg', 'link', 'set', 'wire', 'up']);
}

const offer = (number: number) => ({
  wireguard: { backend: 'kernel' as const, keys: [{ publicKey: `${'A'.repeat(43)}=`, number, port: 51_840 }] },
});
const reaches = async (from: Station, container: string, address: string) =>
  (await from.host.exec(container, ['ping', '-q', '-c', '1', '-W', '1', address])).code === 0;
const sockets = (station: Station, ...inside: readonly string[]) =>
  station.host.must([...inside, 'ss', '-lunH', 'sport', '=', ':4789']);
const tunnel = (station: Station) => station.host.run(TUNNELS).then(({ stdout }) => stdout);

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  a = new Station(lab.host(1));
  b = new Station(lab.host(2));
  for (const { world } of [a, b]) {
    world.addNode('h1', a.host.address, offer(1));
    world.addNode('h2', b.host.address, offer(2));
    const options = { encrypted: '' };
    web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1', options });
    clear = world.addNetwork('clear', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });
  }
  await makePlace(a, 1, b);
  await makePlace(b, 2, a);
  a.start();
  b.start();
  for (const [station, nth] of [
    [a, 2],
    [b, 3],
  ] as const) {
    for (const name of ['web', 'clear']) await station.host.container(name);
    await station.attach(web, `10.0.0.${nth}`, 'web');
  }
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const)
    for (const [id, record] of from.world.endpointRecords)
      if (record.nodeId === from.world.selfId) to.world.endpointRecords.set(id, record);
  for (const { reconciler } of [a, b]) await reconciler.converge(web.id);
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

it('has its socket in the namespace of WireGuard, and none in the host', async () => {
  expect(await reaches(a, 'web', '10.0.0.3')).toBe(true);
  expect(await sockets(b)).toBe('');
  expect(await sockets(b, 'ip', 'netns', 'exec', 'ovl-wg')).toContain('4789');
  expect(await tunnel(b)).not.toContain(' local ');
  expect(await tunnel(b)).toContain('mtu 1386');
  await b.quiet();
  const { writes } = b.reconciler.status();
  await b.reconciler.converge(web.id);
  b.reconciler.markDirty('all');
  await b.quiet();
  expect(b.reconciler.status().writes).toBe(writes);
});

describe('what comes in clear with the VNI of an encrypted network', () => {
  /** Perl: one datagram, given as hexadecimal digits, to a data port. */
  const SEND = `
    use Socket;
    socket my $socket, AF_INET, SOCK_DGRAM, 0 or die $!;
    send $socket, pack('H*', $ARGV[1]), 0, pack_sockaddr_in(4789, inet_aton($ARGV[0])) or die $!;
  `;
  const datagram = (vni: number, receiver: string, to: string) => {
    const frame = { from: to.replace(/\d+$/, '2'), to, sender: '02:42:0a:00:00:02', receiver };
    return `08000000${vni.toString(16).padStart(6, '0')}00${ipv4Frame(frame)}`;
  };
  const toWeb = datagram(4096, '02:42:0a:00:00:03', '10.0.0.3');
  const toClear = datagram(4097, '02:42:0a:00:01:03', '10.0.1.3');
  /** As a member's host does that nobody keeps from it. */
  const send = (...datagrams: readonly string[]) =>
    Promise.all(datagrams.map((each) => a.host.must(['perl', '-e', SEND, b.host.address, each])));
  /** Received by a container. */
  const received = async (container: string) =>
    Number(await b.host.mustExec(container, ['cat', '/sys/class/net/eth0/statistics/rx_packets']));
  const dropped = async () => {
    const chain = await b.host.must(['nft', 'list', 'chain', 'inet', 'overlayd', 'input']);
    return Number(/@encrypted counter packets (\d+)/.exec(chain)![1]);
  };

  beforeAll(async () => {
    await b.attach(clear, '10.0.1.3', 'clear');
    await a.attach(clear, '10.0.1.2', 'clear');
    await a.stop();
    await a.host.must(['nft', 'delete', 'table', 'inet', 'overlayd']);
  });

  it('is counted, and reaches no container', async () => {
    const [before, inWeb, inClear] = [await dropped(), await received('web'), await received('clear')];
    await send(toWeb, toWeb, toWeb);
    await until('them to arrive', async () => (await dropped()) === before + 3);
    // The same in an open network comes through.
    await send(toClear);
    await until('that to arrive', async () => (await received('clear')) === inClear + 1);
    expect(await received('web')).toBe(inWeb);
  });

  it('reaches none without any rule, either', async () => {
    await b.stop();
    await b.host.must(['nft', 'flush', 'ruleset']);
    const [inWeb, inClear] = [await received('web'), await received('clear')];
    await send(toWeb, toWeb, toWeb);
    await send(toClear);
    await until('the other to arrive', async () => (await received('clear')) === inClear + 1);
    expect(await received('web')).toBe(inWeb);
    await b.restart();
    await b.reconciler.converge(web.id);
  });

  it('leaves no host, whatever device is made for it', async () => {
    await a.restart();
    await a.reconciler.converge(web.id);
    const rules = await a.host.must(['nft', 'list', 'chain', 'inet', 'overlayd', 'output']);
    expect(rules).toMatch(/udp dport @ports @th,96,24 @encrypted counter .*drop/);
    expect(await reaches(a, 'web', '10.0.0.3')).toBe(true);
  });
});

it('a device that somebody made in the host is made anew', async () => {
  await a.stop();
  await a.host.must(['ip', '-n', 'ovl-4096', 'link', 'delete', 'vx0']);
  const forged = 'type vxlan id 4096 dstport 4789 nolearning proxy';
  await a.host.must(['ip', 'link', 'add', 'vx0', ...forged.split(' ')]);
  await a.host.must(['ip', 'link', 'set', 'vx0', 'netns', 'ovl-4096']);
  // What is not known to be absent is no reason to wait.
  a.world.isWhole = false;
  await a.restart();
  await a.reconciler.converge(web.id);
  a.world.isWhole = true;
  expect(await sockets(a, 'ip', 'netns', 'exec', 'ovl-wg')).toContain('4789');
  expect(await reaches(a, 'web', '10.0.0.3')).toBe(true);
});

it('without the namespace of WireGuard nothing is made, and all of it once that is there', async () => {
  await a.host.must(['ip', 'netns', 'delete', 'ovl-wg']);
  await until('the tunnel to be gone', async () => !(await tunnel(a)).includes('vx0'));
  await expect(a.reconciler.converge(web.id)).rejects.toThrow(/WireGuard is not there on this host/);
  expect(a.reconciler.status().lastError).toMatch(/no namespace ovl-wg/);
  expect(await tunnel(a)).toBe('');
  expect(await reaches(a, 'web', '10.0.0.3')).toBe(false);
  await makePlace(a, 1, b);
  await until('the way to be there', () => reaches(a, 'web', '10.0.0.3'));
  expect(a.reconciler.status().problems).toEqual([]);
});

it('one that lost its name alone goes on, until there is another', async () => {
  const holder = a.host.spawn(['ip', 'netns', 'exec', 'ovl-wg', 'sleep', '300']);
  const pids = async () => (await a.host.must(['ip', 'netns', 'pids', 'ovl-wg'])).trim();
  await until('it to be held', async () => (await pids()) !== '');
  const pid = (await pids()).split('\n')[0]!;
  await a.quiet();
  const { writes } = a.reconciler.status();
  await a.host.must(['ip', 'netns', 'delete', 'ovl-wg']);
  a.reconciler.markDirty('all');
  await a.reconciler.converge(web.id);
  expect(a.reconciler.status().writes).toBe(writes);
  expect(await reaches(a, 'web', '10.0.0.3')).toBe(true);
  // The other one's wire has the same number.
  await a.host.must(['nsenter', `--net=/proc/${pid}/ns/net`, 'ip', 'link', 'delete', 'wire']);
  await makePlace(a, 1, b, 1);
  await until('the tunnel to be another', async () => (await sockets(a, 'ip', 'netns', 'exec', 'ovl-wg')) !== '');
  await until('the way to be there', () => reaches(a, 'web', '10.0.0.3'));
  await holder.kill();
});
