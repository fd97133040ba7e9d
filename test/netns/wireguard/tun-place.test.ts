/** VXLAN through wireguard-go: what comes to the tun, and what becomes of the place that it is in. */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { generatePrivateKey, publicKeyOf } from '../../../src/adapters/wireguard/keys.ts';
import type { WireguardWorld } from '../../contract/wireguard.ts';
import type { Host } from '../../lab/host.ts';
import { until } from '../../lab/until.ts';
import { type LabWireguard, openWorld } from './wireguard-host.ts';

const PORT = 51_820;
const BYTES = 8_000_000;
/** Of a packet outside, as a tunnel of 1420 bytes carries them. */
const ONE_BY_ONE = 1_420;
/** How many come at once is TCP's affair: where processors are slow it sends two or three. */
const TOGETHER = 1.5 * ONE_BY_ONE;
/** Packets on their way to the tun: those that were put together are one. */
const COUNT = `add table ip test
add chain ip test passing { type filter hook forward priority 0; }
add rule ip test passing oifname "ovlwg0" ip length > 1000 counter`;
const SEND = `
  const [, bytes, address] = process.argv;
  const socket = require('net').connect(7000, address);
  socket.end(Buffer.alloc(Number(bytes), 'overlay'));
  socket.on('data', (told) => console.log(String(told)));
`;
const RECEIVE = `
  const hash = require('crypto').createHash('sha256');
  const server = require('net').createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('data', (some) => hash.update(some));
    socket.on('end', () => socket.end(hash.digest('hex')));
  });
  server.listen(7000, () => console.log('listens'));
`;

let world: WireguardWorld;
let hosts: readonly LabWireguard[];

beforeAll(async () => {
  world = await openWorld('wireguard-go');
  hosts = world.hosts as unknown as readonly LabWireguard[];
});
afterAll(() => world?.close());
beforeEach(async () => {
  const keys = [1, 2].map((number) => ({ privateKey: generatePrivateKey(), address: `198.18.0.${number}` }));
  for (const [at, { wireguard }] of hosts.entries()) {
    const other = keys[1 - at]!;
    const peer = {
      publicKey: publicKeyOf(other.privateKey),
      endpoint: `${hosts[1 - at]!.address}:${PORT}`,
      allowedIps: [`${other.address}/32`],
      keepaliveSeconds: 0,
    };
    const device = { name: 'ovlwg0', ...keys[at]!, port: PORT, mtu: ONE_BY_ONE, peers: [peer] } as const;
    const failures = await wireguard.apply([
      { kind: 'add-device', device },
      { kind: 'send-by', name: device.name, address: device.address },
    ]);
    expect(failures.map(({ error }) => error.message)).toEqual([]);
  }
  expect(await hosts[0]!.ping('198.18.0.2')).toBe(true);
});
afterEach(async () => {
  await world.clear();
  for (const { host } of hosts) await host.run(['ip', 'netns', 'del', 'c']);
});

const inside = (host: Host, place: string, ...argv: readonly string[]) =>
  host.must(['ip', 'netns', 'exec', place, ...argv]);

/** A container `c` at 10.1.0.N with a VXLAN device of its own, whose socket is among the tunnels. */
async function addContainer({ host }: LabWireguard, number: number): Promise<void> {
  await host.container('c');
  const device = 'type vxlan id 4096 dstport 4789 nolearning udpcsum';
  const lines = [
    `-n ovl-wg link add vx0 mtu ${ONE_BY_ONE - 50} ${device} remote 198.18.0.${3 - number}`,
    '-n ovl-wg link set vx0 netns c',
    `-n c address add 10.1.0.${number}/24 dev vx0`,
    '-n c link set vx0 up',
  ];
  for (const line of lines) await host.must(['ip', ...line.split(' ')]);
}

it('packets of VXLAN come to the tun put together, and arrive as they were sent', async () => {
  for (const [at, host] of hosts.entries()) await addContainer(host, at + 1);
  const [one, two] = hosts.map(({ host }) => host) as [Host, Host];
  await one.must(['ip', 'netns', 'exec', 'ovl-wg0', 'nft', '-f', '-'], { input: COUNT });
  const server = two.spawn(['ip', 'netns', 'exec', 'c', 'node', '-e', RECEIVE]);
  await until('the server to listen', () => server.output.includes('listens'));
  const received = await inside(one, 'c', 'node', '-e', SEND, String(BYTES), '10.1.0.2');
  await server.kill();
  expect(received.trim()).toBe(createHash('sha256').update(Buffer.alloc(BYTES, 'overlay')).digest('hex'));
  const counted = await inside(one, 'ovl-wg0', 'nft', 'list', 'table', 'ip', 'test');
  const [, packets, bytes] = /counter packets (\d+) bytes (\d+)/.exec(counted)!.map(Number) as [number, number, number];
  expect(bytes).toBeGreaterThan(BYTES);
  expect(bytes / packets).toBeGreaterThan(TOGETHER);
});

it('a packet as large as the tunnel lets through passes undivided', async () => {
  for (const [at, host] of hosts.entries()) await addContainer(host, at + 1);
  const { host } = hosts[0]!;
  const ping = (size: number) =>
    host.run(['ip', 'netns', 'exec', 'c', 'ping', '-c', '1', '-W', '5', '-M', 'do', '-s', String(size), '10.1.0.2']);
  expect((await ping(ONE_BY_ONE - 50 - 28)).code).toBe(0);
  expect((await ping(ONE_BY_ONE - 50 - 27)).code).not.toBe(0);
});

it('neither place has a link that leads elsewhere', async () => {
  const { host } = hosts[0]!;
  const links = async (place: string) =>
    JSON.parse(await host.must(['ip', '-j', '-n', place, 'link'])).map(({ ifname }: { ifname: string }) => ifname);
  expect((await links('ovl-wg')).sort()).toEqual(['lo', 'ovlwg0']);
  expect((await links('ovl-wg0')).sort()).toEqual(['lo', 'ovlwg0', 'place']);
});

it.each([
  ['a route is gone', ['ip', '-n', 'ovl-wg0', 'route', 'flush', 'dev', 'place']],
  ['the tun is down', ['ip', '-n', 'ovl-wg0', 'link', 'set', 'ovlwg0', 'down']],
])('it is told that %s, and made good by setting the device up', async (_, argv) => {
  const [one] = hosts as [LabWireguard];
  await one.host.must(argv);
  expect((await one.wireguard.observe()).devices[0]).toMatchObject({ name: 'ovlwg0', up: false });
  expect(await one.wireguard.apply([{ kind: 'set-device', name: 'ovlwg0', set: {} }])).toEqual([]);
  expect((await one.wireguard.observe()).devices[0]).toMatchObject({ name: 'ovlwg0', up: true });
  expect(await one.ping('198.18.0.2')).toBe(true);
});

it.each(['ovl-wg0', 'ovl-wg'])('a device whose link in %s is gone is none', async (place) => {
  const [one] = hosts as [LabWireguard];
  await one.host.must(['ip', '-n', place, 'link', 'del', 'ovlwg0']);
  expect((await one.wireguard.observe()).devices).toEqual([]);
});

it('what is passed on and checked there does not hang on devices that the kernel puts into each namespace', async () => {
  await world.clear();
  const [{ host, wireguard }] = hosts as [LabWireguard];
  await host.must(['ip', 'netns', 'add', 'ovl-wg']);
  const keys = ['net.ipv4.conf.all.rp_filter', 'net.ipv4.conf.all.forwarding'];
  await inside(host, 'ovl-wg', 'sysctl', '-qw', ...keys.map((key) => `${key}=1`));
  // Stands for a fallback device, such as `tunl0`.
  await host.must(['ip', '-n', 'ovl-wg', 'link', 'add', 'tunl0', 'type', 'bridge']);
  const device = { name: 'ovlwg0', privateKey: generatePrivateKey(), port: PORT, mtu: 1_420, peers: [] } as const;
  expect(await wireguard.apply([{ kind: 'add-device', device: { ...device, address: '198.18.0.1' } }])).toEqual([]);
  expect((await inside(host, 'ovl-wg', 'sysctl', '-n', ...keys)).trim()).toBe('0\n0');
});
