/** What the options of networks come to: packets that pass and packets that do not, on one host and across hosts. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { hasAddress } from '../../../src/core/records.ts';
import type { Host } from '../../lab/host.ts';
import { INTERNET } from '../../lab/internet.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

let lab: Lab;
let a: Station;
let b: Station;
let networks: Record<'apart' | 'inner' | 'routed' | 'bare' | 'isolated', NetworkRecord>;

async function ping(host: Host, container: string, address: string, ...options: string[]): Promise<boolean> {
  const outcome = await host.exec(container, ['ping', '-q', '-c', '1', '-W', '1', ...options, address]);
  return outcome.code === 0;
}

/** Perl: sends frames, given as hexadecimal digits, out of the interface of that name. */
const SEND_FRAMES = `
  my ($link, @frames) = @ARGV;
  open my $index, '<', "/sys/class/net/$link/ifindex" or die $!;
  my $address = pack 'SnlSCCa8', 17, 3, <$index>, 0, 0, 6, '';
  socket my $socket, 17, 3, unpack('S', pack 'n', 3) or die $!;
  for (@frames) { send $socket, pack('H*', $_), 0, $address or die $! }
`;

/** Perl: listens at addresses and ports, one after the other; connects to one. */
const LISTEN =
  'use IO::Socket::INET; @all = map { IO::Socket::INET->new(Listen => 5, LocalAddr => $_) or die } @ARGV; sleep';
const CALL = 'use IO::Socket::INET; IO::Socket::INET->new(PeerAddr => shift, Timeout => 1) or die';

/** An echo request from 10.0.0.2, hexadecimal: to that MAC, with that IPv4 address as destination. */
function echoTo(mac: string, address: string): string {
  const destination = address.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
  return `${mac.replaceAll(':', '')}02420a000002080045000020000000004001` + `${'0000'}0a000002${destination.join('')}`;
}

/** Counts what a container gets of IPv4. */
async function watch(host: Host, container: string): Promise<() => Promise<number>> {
  const table = `table netdev frames {
    chain ingress {
      type filter hook ingress device eth0 priority 0;
      ip saddr 10.0.0.2 counter
    }
  }`;
  await host.mustExec(container, ['nft', '-f', '-'], { input: table });
  return async () =>
    Number(/packets (\d+)/.exec(await host.mustExec(container, ['nft', 'list', 'table', 'netdev', 'frames']))![1]);
}

beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  a = new Station(lab.host(1), { serviceAddress: true });
  b = new Station(lab.host(2), { serviceAddress: true });
  for (const { world } of [a, b]) {
    world.addNode('h1', lab.host(1).address);
    world.addNode('h2', lab.host(2).address);
    const add = (name: string, number: number, options: Record<string, string>, internal = false) => {
      const block = `10.0.${number}`;
      return world.addNetwork(name, {
        vni: 4096 + number,
        cidr: `${block}.0/24`,
        gateway: `${block}.1`,
        options,
        internal,
      });
    };
    networks = {
      apart: add('apart', 0, { enable_icc: 'false' }),
      inner: add('inner', 1, { 'com.docker.network.bridge.enable_icc': '0' }, true),
      routed: add('routed', 2, { gateway_mode_ipv4: 'routed' }),
      bare: add('bare', 3, { enable_ip_masquerade: 'false' }),
      isolated: add('isolated', 4, { gateway_mode_ipv4: 'isolated' }, true),
    };
  }
  a.start();
  b.start();
  const attachments = Object.values(networks).flatMap((network, number) =>
    (
      [
        [a, 2, 'one'],
        [a, 3, 'two'],
        [b, 4, 'three'],
      ] as const
    ).map(async ([station, last, which]) => {
      const container = `${network.name}-${which}`;
      await station.host.container(container);
      await station.attach(network, `10.0.${number}.${last}`, container);
    }),
  );
  await Promise.all(attachments);
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    for (const [id, record] of from.world.endpointRecords) {
      if (record.nodeId === from.world.selfId) to.world.endpointRecords.set(id, record);
    }
    to.reconciler.markDirty('all');
  }
  for (const { id } of Object.values(networks)) {
    await Promise.all([a, b].map(({ reconciler }) => reconciler.converge(id)));
  }
});

afterAll(async () => {
  await Promise.all([a?.stop(), b?.stop()]);
  await lab?.close();
});

describe('containers that are not to reach each other', () => {
  /** What the others got from the first one, in packets. */
  let received: readonly (() => Promise<number>)[];
  const receive = () => Promise.all(received.map((each) => each()));

  beforeAll(async () => {
    received = [await watch(a.host, 'apart-two'), await watch(b.host, 'apart-three')];
  });

  it('do not, on one host nor across hosts, with a way out of the network or without', async () => {
    const from = (block: string) => [`${block}.3`, `${block}.4`];
    const tried = [
      ...from('10.0.0').map((address) => ping(a.host, 'apart-one', address)),
      ...from('10.0.1').map((address) => ping(a.host, 'inner-one', address)),
      ping(a.host, 'apart-one', '10.0.0.255', '-b'),
      ping(b.host, 'apart-three', '10.0.0.2'),
      ping(b.host, 'inner-three', '10.0.1.2'),
    ];
    expect(await Promise.all(tried)).toEqual(tried.map(() => false));
  });

  it('reach their gateway, the names there, and what lies beyond', async () => {
    for (const address of ['10.0.0.1', '169.254.53.53', INTERNET])
      expect(await ping(a.host, 'apart-one', address)).toBe(true);
    expect(await ping(b.host, 'apart-three', INTERNET)).toBe(true);
    expect(await ping(a.host, 'inner-one', '10.0.1.1')).toBe(true);
    expect(await ping(a.host, 'inner-one', INTERNET)).toBe(false);
    expect((await a.host.run(['ping', '-q', '-c', '1', '-W', '1', '10.0.0.2'])).code).toBe(0);
  });

  it('get nothing by way of the gateway, of groups or of everybody', async () => {
    const gateway = '02:42:0a:00:00:01';
    const everybody = 'ff:ff:ff:ff:ff:ff';
    const frames = ['10.0.0.3', '10.0.0.4'].flatMap((address) => [
      echoTo(gateway, address),
      echoTo(everybody, address),
      echoTo('01:00:5e:00:00:fb', address),
      echoTo(`02:42:0a:00:00:0${address.at(-1)}`, address),
    ]);
    await a.host.mustExec('apart-one', [
      'perl',
      '-e',
      SEND_FRAMES,
      'eth0',
      ...frames,
      echoTo(everybody, '224.0.0.251'),
    ]);
    await a.host.mustExec('apart-one', ['ip', 'route', 'replace', '10.0.0.4', 'via', '10.0.0.1']);
    expect(await ping(a.host, 'apart-one', '10.0.0.4')).toBe(false);
    // What was sent before has arrived where it could by now.
    expect(await ping(a.host, 'apart-one', INTERNET)).toBe(true);
    expect(await receive()).toEqual([0, 0]);
  });

  it('get nothing from a host that lets it out', async () => {
    const filter = ['nsenter', '--net=/run/netns/ovl-4096', 'nft'];
    await a.stop();
    await a.host.must([...filter, 'flush', 'ruleset']);
    await until('nothing to keep it back', () => ping(a.host, 'apart-one', '10.0.0.3'));
    expect((await receive())[0]).toBeGreaterThan(0);
    await a.host.mustExec('apart-one', ['ip', 'route', 'delete', '10.0.0.4']);
    expect(await ping(a.host, 'apart-one', '10.0.0.4')).toBe(false);
    expect((await receive())[1]).toBe(0);
    await a.restart();
    await a.reconciler.converge(networks.apart.id);
    expect(await ping(a.host, 'apart-one', '10.0.0.3')).toBe(false);
  });
});

describe('a network that is routed', () => {
  const answers = (container: string) => ping(a.host, container, INTERNET);

  it('leaves with its own addresses, and is answered by whoever knows the way back', async () => {
    for (const [container, cidr] of [
      ['routed-one', '10.0.2.0/24'],
      ['bare-one', '10.0.3.0/24'],
    ] as const) {
      expect(await answers(container)).toBe(false);
      await lab.internet.must(['ip', 'route', 'add', cidr, 'via', a.host.address]);
      expect(await answers(container)).toBe(true);
    }
    expect(await answers('apart-one')).toBe(true);
  });

  it('is opened to nobody by that', async () => {
    expect((await lab.internet.run(['ping', '-q', '-c', '1', '-W', '1', '10.0.2.2'])).code).not.toBe(0);
    const control = `${b.host.address}:7946`;
    const listener = b.host.spawn(['perl', '-e', LISTEN, control]);
    const call = ['perl', '-e', CALL, control];
    // Somebody takes calls there; of members.
    await until('the listener', async () => (await a.host.run(call)).code === 0);
    expect((await a.host.exec('routed-one', call)).code).not.toBe(0);
    await listener.kill();
  });

  it('is opened at the ports that its containers publish, to everybody, and a new agent finds it so', async () => {
    const endpoint = [...a.world.local.values()].find(({ record }) => hasAddress(record, '10.0.2.2'))!;
    const engine = { endpointId: endpoint.record.id, networkId: networks.routed.id };
    const ports = [
      { protocol: 'tcp', port: 8080 },
      { protocol: 'udp', port: 53 },
    ] as const;
    a.world.local.set(endpoint.record.id, { ...endpoint, engine: { ...engine, ports } });
    await a.reconciler.converge(networks.routed.id);
    const listener = a.host.spawn([
      ...['ip', 'netns', 'exec', 'routed-one', 'perl', '-e', LISTEN],
      ...['10.0.2.2:8081', '10.0.2.2:8080'],
    ]);
    const reaches = async (port: number) =>
      (await lab.internet.run(['perl', '-e', CALL, `10.0.2.2:${port}`])).code === 0;
    await until('the port to be reached', () => reaches(8080));
    expect(await reaches(8081)).toBe(false);
    await a.quiet();
    await a.restart();
    await a.reconciler.converge(networks.routed.id);
    await a.quiet();
    expect(a.reconciler.status().writes).toBe(0);
    a.world.local.set(endpoint.record.id, endpoint);
    await a.reconciler.converge(networks.routed.id);
    expect(await reaches(8080)).toBe(false);
    await listener.kill();
  });

  it('carries packets between its containers as any does', async () => {
    expect(await ping(a.host, 'routed-one', '10.0.2.3')).toBe(true);
    expect(await ping(a.host, 'routed-one', '10.0.2.4')).toBe(true);
  });
});

describe('a gateway that is isolated', () => {
  it('answers names and nothing else', async () => {
    expect(await ping(a.host, 'isolated-one', '10.0.4.1')).toBe(false);
    expect(await ping(a.host, 'isolated-one', '169.254.53.53')).toBe(false);
    const inside = ['nsenter', '--net=/run/netns/ovl-4100'];
    const listener = a.host.spawn([...inside, 'perl', '-e', LISTEN, '10.0.4.1:54', '10.0.4.1:53']);
    const reaches = async (port: number) =>
      (await a.host.exec('isolated-one', ['perl', '-e', CALL, `10.0.4.1:${port}`])).code === 0;
    await until('names to be answered', () => reaches(53));
    expect(await reaches(54)).toBe(false);
    await listener.kill();
  });

  it('does not stand between containers', async () => {
    expect(await ping(a.host, 'isolated-one', '10.0.4.3')).toBe(true);
    expect(await ping(a.host, 'isolated-one', '10.0.4.4')).toBe(true);
  });
});
