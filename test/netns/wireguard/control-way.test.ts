/** The way between the host and the tunnels, with a veth in place of WireGuard's device: what passes, and what does not. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { createControlWays } from '../../../src/adapters/kernel/control-way.ts';
import { type ControlWay, controlWayOps } from '../../../src/core/wireguard/control-way.ts';
import type { ControlWays } from '../../../src/ports/wireguard.ts';
import type { Host, HostProcess } from '../../lab/host.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';
import { openKernel } from '../kernel/kernel-host.ts';

const UDP = fileURLToPath(new URL('../lab/udp-peer.ts', import.meta.url));
const VXLAN = 4_789;
const GOSSIP = 7_946;
const WAY: ControlWay = { addresses: ['198.19.0.1'], ports: [GOSSIP] };
/** `peer` stands for the member at the other end of the tunnel. */
const TUNNEL = [
  'link add ovlwg0 mtu 1420 netns ovl-wg type veth peer name tunnel netns peer',
  '-n ovl-wg address add 198.18.0.1/32 dev ovlwg0',
  '-n ovl-wg link set ovlwg0 up',
  '-n ovl-wg route add 198.18.0.0/15 dev ovlwg0 src 198.18.0.1',
  '-n peer address add 198.18.0.2/32 dev tunnel',
  '-n peer address add 198.19.0.2/32 dev tunnel',
  '-n peer link set tunnel up',
  '-n peer route add 198.18.0.0/16 dev tunnel src 198.18.0.2',
  '-n peer route add 198.19.0.0/16 dev tunnel src 198.19.0.2',
];

const lab = useLab({ hosts: 1, agents: false });
let host: Host;
let ways: ControlWays;

/** Returns how much was to be done. */
async function make(wanted: ControlWay | undefined, mayRemove = true): Promise<number> {
  const ops = controlWayOps(wanted, (await ways.observe())!, mayRemove);
  if (ops.length > 0) await ways.apply(ops);
  return ops.length;
}

const inside = (place: string, ...argv: readonly string[]) =>
  place === 'host' ? argv : ['ip', 'netns', 'exec', place, ...argv];

/** Accepts TCP on the port and says from where. */
async function serve(place: string, port: number): Promise<HostProcess> {
  const program = `require('net').createServer((s)=>s.end(s.remoteAddress)).listen(${port},'0.0.0.0',()=>console.log('listens'))`;
  const process = host.spawn(inside(place, 'node', '-e', program));
  await until('the server to listen', () => process.output.includes('listens'));
  return process;
}

/** The address that the server saw; undefined when there was no connection. */
async function call(place: string, address: string, port: number): Promise<string | undefined> {
  const program = `const s=require('net').connect(${port},'${address}');s.setTimeout(1500,()=>process.exit(1));s.on('error',()=>process.exit(1));s.on('data',(d)=>{console.log(String(d));process.exit(0)})`;
  const { code, stdout } = await host.run(inside(place, 'node', '-e', program));
  return code === 0 ? stdout.trim() : undefined;
}

async function udp(place: string, port: number, ...targets: readonly string[]): Promise<HostProcess> {
  const process = host.spawn(inside(place, 'node', UDP, String(port), ...targets));
  await until('the socket to be there', () => process.output.includes('listens'));
  return process;
}

const heard = ({ output }: HostProcess) => [...output.matchAll(/heard (\S+):/g)].map(([, who]) => who!);

beforeAll(async () => {
  host = lab().host(1);
  for (const place of ['ovl-wg', 'peer']) await host.container(place);
  for (const line of TUNNEL) await host.must(['ip', ...line.split(' ')]);
  // A tunnel has no ARP.
  await host.must(['ip', 'netns', 'exec', 'ovl-wg', 'sysctl', '-qw', 'net.ipv4.conf.ovlwg0.proxy_arp=1']);
  await host.must(['ip', 'netns', 'exec', 'ovl-wg', 'sysctl', '-qw', 'net.ipv4.neigh.ovlwg0.proxy_delay=0']);
  ways = createControlWays(openKernel(host).thread);
});

describe('the way between the host and the tunnels', () => {
  test('is made at once, and then right', async () => {
    expect(await make(WAY)).toBeGreaterThan(0);
    expect(await make(WAY)).toBe(0);
  });

  test('stays as it is where what is wanted is not certain, whatever that is, and gets what it lacks', async () => {
    expect(await make(undefined, false)).toBe(0);
    expect(await make({ addresses: ['198.19.0.1'], ports: [] }, false)).toBe(0);
    const more = { addresses: ['198.19.0.9', '198.19.0.1'], ports: [GOSSIP] };
    expect(await make(more, false)).toBeGreaterThan(0);
    expect(await make(more, false)).toBe(0);
    expect(await make(WAY)).toBeGreaterThan(0);
    expect(await make(WAY)).toBe(0);
  });

  test('lets control connections through, both ways, by their own addresses', async () => {
    const servers = [await serve('host', GOSSIP), await serve('peer', GOSSIP)];
    expect(await call('peer', '198.19.0.1', GOSSIP)).toBe('198.19.0.2');
    expect(await call('host', '198.19.0.2', GOSSIP)).toBe('198.19.0.1');
    for (const server of servers) await server.kill();
  });

  test('lets nothing else through', async () => {
    const servers = [await serve('host', GOSSIP + 1), await serve('peer', GOSSIP + 1)];
    expect(await call('peer', '198.19.0.1', GOSSIP + 1)).toBeUndefined();
    expect(await call('host', '198.19.0.2', GOSSIP + 1)).toBeUndefined();
    for (const server of servers) await server.kill();
  });

  test("leads nobody from the host to VXLAN's socket among the tunnels, nor from there to the host's", async () => {
    // Somebody on the host sees to it that the packets get there.
    await host.must(['ip', 'route', 'add', '198.18.0.0/16', 'via', '198.19.0.0', 'dev', 'ovlwg', 'onlink']);
    const vxlan = await udp('ovl-wg', VXLAN, '198.19.0.1:4789');
    const plain = await udp('host', VXLAN, ...['198.18.0.1', '198.19.0.0', '198.18.0.2'].map((to) => `${to}:4789`));
    const marks = () => host.must(['ip', 'netns', 'exec', 'ovl-wg', 'nft', 'list', 'table', 'inet', 'overlayd']);
    await until('both to have tried', async () => {
      const counts = [...(await marks()).matchAll(/counter packets (\d+)/g)].map(([, count]) => Number(count));
      // What came in, what was to leave, and what was not passed on.
      return counts.length === 3 && counts.every((count) => count > 3);
    });
    const member = await udp('peer', VXLAN, '198.18.0.1:4789', '198.19.0.1:4789');
    await until('the member to be heard', () => heard(vxlan).length > 0);
    expect(heard(vxlan)).toEqual(['198.18.0.2']);
    expect(heard(plain)).toEqual([]);
    for (const process of [vxlan, plain, member]) await process.kill();
    await host.must(['ip', 'route', 'del', '198.18.0.0/16']);
  });

  test('is put right again, whatever somebody did', async () => {
    await host.must(['ip', 'netns', 'exec', 'ovl-wg', 'nft', 'flush', 'ruleset']);
    expect(await make(WAY)).toBe(1);
    await host.must(['ip', 'link', 'set', 'ovlwg', 'down']);
    await host.must(['ip', '-n', 'ovl-wg', 'address', 'flush', 'dev', 'control']);
    expect(await make(WAY)).toBeGreaterThan(1);
    expect(await make(WAY)).toBe(0);
    await host.must(['ip', 'link', 'delete', 'ovlwg']);
    expect(await make(WAY)).toBeGreaterThan(1);
    expect(await make(WAY)).toBe(0);
  });

  test('calls by the newer address when a key is exchanged, and answers at both', async () => {
    await make({ ...WAY, addresses: ['198.19.0.1', '198.19.0.3'] });
    const server = await serve('peer', GOSSIP);
    expect(await call('host', '198.19.0.2', GOSSIP)).toBe('198.19.0.1');
    const exchanged = { ...WAY, addresses: ['198.19.0.3', '198.19.0.1'] };
    await make(exchanged);
    expect(await make(exchanged)).toBe(0);
    expect(await call('host', '198.19.0.2', GOSSIP)).toBe('198.19.0.3');
    const own = await serve('host', GOSSIP);
    for (const address of exchanged.addresses) expect(await call('peer', address, GOSSIP)).toBe('198.19.0.2');
    for (const process of [server, own]) await process.kill();
  });

  test('goes', async () => {
    await make(undefined);
    expect(await make(undefined)).toBe(0);
    expect((await host.run(['ip', 'link', 'show', 'ovlwg'])).code).not.toBe(0);
    expect((await host.run(['ip', '-n', 'ovl-wg', 'link', 'show', 'control'])).code).not.toBe(0);
  });
});
