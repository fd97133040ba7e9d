/** The service address over the real data path: who reaches it, whom it is, and what it must not be taken for. */

import { decode, encode, RECURSION_AVAILABLE } from 'dns-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SocketListeners } from '../../../src/adapters/dns/listeners.ts';
import { askRouting } from '../../../src/adapters/kernel/host-routing.ts';
import { createHostFacts } from '../../../src/adapters/system/host-facts.ts';
import { parseCidr } from '../../../src/core/cidr.ts';
import { SERVICE_ADDRESS } from '../../../src/core/host-state.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { firstAddress } from '../../../src/core/records.ts';
import type { DnsForwarder } from '../../../src/names/ports.ts';
import { createResponder } from '../../../src/names/responder.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { buildZone } from '../../unit/core/dns/zone-of.ts';
import { Station } from '../kernel/station.ts';

const ignore = () => undefined;
const silent: Logger = { error: ignore, warn: ignore, info: ignore, debug: ignore, child: () => silent };

let lab: Lab;
let host: Host;
let station: Station;
let web: NetworkRecord;
let inner: NetworkRecord;
let listeners: SocketListeners;
/** Names that were asked of the upstream server. */
const upstream: string[] = [];

const forwarder: DnsForwarder = {
  ask: async (query) => {
    const { questions = [] } = decode(Buffer.from(query));
    const name = questions[0]!.name;
    upstream.push(name);
    const answers = [{ type: 'A' as const, name, ttl: 60, data: '198.51.100.7' }];
    return encode({ type: 'response', id: 0, flags: RECURSION_AVAILABLE, questions, answers });
  },
};

/** `web1` and `inner1` on a network each, `plain` behind a bridge that is none of ours. */
beforeAll(async () => {
  lab = await Lab.open({ hosts: 2 });
  host = lab.host(1);
  station = new Station(host, { serviceAddress: true });
  const { world } = station;
  world.addNode('h1', host.address);
  web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  inner = world.addNetwork('inner', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1', internal: true });
  station.start();
  for (const name of ['web1', 'inner1', 'plain']) await host.container(name);
  await station.attach(web, '10.0.0.2', 'web1');
  await station.attach(inner, '10.0.1.2', 'inner1');
  await host.mustExec('inner1', ['ip', 'route', 'add', SERVICE_ADDRESS, 'dev', 'eth0']);
  await host.must(['ip', '-batch', '-'], {
    input: [
      'link add docker0 type bridge',
      'address add 172.30.0.1/24 dev docker0',
      'link set docker0 up',
      'link add port type veth peer name eth0 netns plain',
      'link set port master docker0 up',
    ].join('\n'),
  });
  const inside = ['address add 172.30.0.2/24 dev eth0', 'link set eth0 up', 'route add default via 172.30.0.1'];
  await host.mustExec('plain', ['ip', '-batch', '-'], { input: inside.join('\n') });

  const responder = createResponder({
    zone: (networkId) => buildZone({ view: world, hidden: () => new Set() }, networkId, { ttlSeconds: 5 }),
    overlay: () => [web, inner].map(({ subnets }) => parseCidr(subnets[0]!.cidr)!),
    networksOf: (networkId) => [networkId],
    forwarder,
    random: { next: () => 0 },
  });
  listeners = new SocketListeners({ handler: responder.handler, logger: silent });
  for (const { id, vni, subnets } of [web, inner]) {
    const namespacePath = host.path(`/run/netns/ovl-${vni}`);
    await listeners.ensure({ networkId: id, namespacePath, addresses: [subnets[0]!.gateway, SERVICE_ADDRESS] });
  }
  const namespacePath = `/proc/${host.pid}/ns/net`;
  await listeners.ensure({ networkId: '', namespacePath, addresses: [SERVICE_ADDRESS] });
});

afterAll(async () => {
  await listeners?.closeAll();
  await station?.stop();
  await lab?.close();
});

async function dig(container: string, server: string, ...words: readonly string[]) {
  const flags = ['+tries=1', '+time=30', '+noall', '+comments', '+answer'];
  const text = await host.mustExec(container, ['dig', `@${server}`, ...flags, ...words]);
  const answers = text.split('\n').filter((line) => line !== '' && !line.startsWith(';'));
  return { code: /status: (\w+)/.exec(text)?.[1], data: answers.map((line) => line.split(/\s+/).slice(4).join(' ')) };
}

const nameOf = (address: string) =>
  [...station.world.local.values()].find(({ record }) => firstAddress(record) === address)!.record.name;

describe('a container', () => {
  it.each(['+notcp', '+tcp'])('of an internal network reaches it on-link, as it does the gateway (%s)', async (how) => {
    const name = nameOf('10.0.1.2');
    for (const server of [SERVICE_ADDRESS, '10.0.1.1']) {
      expect((await dig('inner1', server, how, name)).data).toEqual(['10.0.1.2']);
      expect((await dig('inner1', server, how, `${name}.inner.overlayd.internal`)).data).toEqual(['10.0.1.2']);
    }
    const before = upstream.length;
    expect((await dig('inner1', SERVICE_ADDRESS, how, 'secret.example')).code).toBe('REFUSED');
    expect(upstream).toHaveLength(before);
  });

  it('of another network is answered by that network, on-link or through its gateway', async () => {
    const name = nameOf('10.0.0.2');
    expect((await dig('web1', SERVICE_ADDRESS, name)).data).toEqual(['10.0.0.2']);
    await host.mustExec('web1', ['ip', 'route', 'add', SERVICE_ADDRESS, 'dev', 'eth0']);
    expect((await dig('web1', SERVICE_ADDRESS, name)).data).toEqual(['10.0.0.2']);
    expect((await dig('web1', SERVICE_ADDRESS, 'www.example')).data).toEqual(['198.51.100.7']);
  });

  it.each(['+notcp', '+tcp'])('of none of our networks is forwarded for by the host (%s)', async (how) => {
    expect((await dig('plain', SERVICE_ADDRESS, how, 'www.example')).data).toEqual(['198.51.100.7']);
    expect((await dig('plain', SERVICE_ADDRESS, how, 'printer')).data).toEqual(['198.51.100.7']);
    const before = upstream.length;
    const ours = `${nameOf('10.0.0.2')}.web.overlayd.internal`;
    expect((await dig('plain', SERVICE_ADDRESS, how, ours)).code).toBe('NXDOMAIN');
    expect(upstream).toHaveLength(before);
  });
});

describe('the service address', () => {
  it.each(['+notcp', '+tcp'])('is out of the reach of other hosts (%s)', async (how) => {
    const neighbour = lab.host(2);
    await neighbour.must(['ip', 'route', 'replace', SERVICE_ADDRESS, 'via', host.address]);
    expect((await neighbour.run(['ping', '-q', '-c', '1', '-W', '5', host.address])).code).toBe(0);
    const before = upstream.length;
    const { stdout } = await neighbour.run(['dig', `@${SERVICE_ADDRESS}`, '+tries=1', '+time=1', how, 'www.example']);
    expect(stdout).toContain('no servers could be reached');
    expect(upstream).toHaveLength(before);
  });

  it('is no address by which the host is known, nor one that it speaks from', async () => {
    const facts = createHostFacts({
      routing: async (question) => askRouting(question, `/proc/${host.pid}/ns/net`),
      nameServers: async () => [],
    });
    expect((await facts.addresses()).map(({ address }) => address)).toEqual([host.address, '172.30.0.1']);
    expect((await facts.routes()).map(({ destination }) => destination).sort()).toEqual([
      '0.0.0.0/0',
      '10.77.0.0/24',
      '172.30.0.0/24',
    ]);
    expect((await host.run(['ping', '-q', '-c', '1', '-W', '1', '10.0.0.2'])).code).toBe(0);
    expect(await host.must(['ip', 'route', 'get', '10.0.0.2'])).not.toContain(SERVICE_ADDRESS);
  });

  it.each([
    ['the host', ['ip', 'address', 'delete', `${SERVICE_ADDRESS}/32`, 'dev', 'lo']],
    ['a network', ['ip', '-n', 'ovl-4097', 'address', 'delete', `${SERVICE_ADDRESS}/32`, 'dev', 'br0']],
  ])('comes back when it is taken from %s', async (_, argv) => {
    await station.quiet();
    const { repairs } = station.reconciler.status();
    await host.must(argv);
    await until('the repair', () => station.reconciler.status().repairs > repairs);
    expect((await dig('plain', SERVICE_ADDRESS, 'www.example')).data).toHaveLength(1);
    expect((await dig('inner1', SERVICE_ADDRESS, nameOf('10.0.1.2'))).data).toHaveLength(1);
  });
});

describe('the sockets of a network', () => {
  it('stay when an address comes or goes, and close with the last', async () => {
    const namespacePath = host.path('/run/netns/ovl-4097');
    const sockets = async () => {
      const text = await host.must(['nsenter', '--net=/run/netns/ovl-4097', 'ss', '-Hulne', 'sport = :53']);
      const found = [...text.matchAll(/(\S+):53 .* ino:(\d+)/g)];
      return new Map(found.map(([, address, inode]) => [address!, inode!]));
    };
    const ensure = (...addresses: string[]) => listeners.ensure({ networkId: inner.id, namespacePath, addresses });
    const both = await sockets();
    expect([...both.keys()].sort()).toEqual(['10.0.1.1', SERVICE_ADDRESS]);
    await ensure('10.0.1.1');
    expect([...(await sockets())]).toEqual([['10.0.1.1', both.get('10.0.1.1')]]);
    await expect(ensure('10.0.1.1', '10.0.1.9')).rejects.toMatchObject({
      code: 'data-path-failed',
      message: expect.stringContaining('10.0.1.9'),
    });
    await ensure('10.0.1.1', SERVICE_ADDRESS);
    const again = await sockets();
    expect(again.get('10.0.1.1')).toBe(both.get('10.0.1.1'));
    expect(again.has(SERVICE_ADDRESS)).toBe(true);
    await listeners.close(inner.id);
    expect((await sockets()).size).toBe(0);
  });
});
