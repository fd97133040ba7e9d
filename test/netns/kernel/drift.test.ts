/** What somebody changes in the kernel is put back because the kernel tells of it: nothing looks by the clock here. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { portLinkOf } from '../../../src/core/plan/naming.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { hasAddress } from '../../../src/core/records.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

/** Longer than any test. */
const NEVER_MS = 2 ** 31 - 1;

let lab: Lab;
let host: Host;
let station: Station;
let web: NetworkRecord;
let port: string;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
});
afterAll(() => lab?.close());

beforeEach(async () => {
  station = new Station(host, { auditIntervalMs: NEVER_MS });
  station.world.addNode('h1', host.address);
  station.world.addNode('h2', '10.77.0.2');
  web = station.world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
  station.world.addRemote(web, 'h2', '10.0.0.9');
  await host.container('c1');
  station.start();
  const endpoint = await station.attach(web, '10.0.0.2', 'c1');
  port = portLinkOf(endpoint.record.id);
  await station.quiet();
});

afterEach(async () => {
  for (const id of [...station.world.local.keys()]) station.world.remove(id);
  await station.reconciler.converge(web.id).catch(() => undefined);
  await station.stop();
  await host.deleteContainer('c1');
});

const inNetwork = (script: string) => host.must(['ip', 'netns', 'exec', 'ovl-4096', 'sh', '-ec', script]);
const inContainer = (script: string) => host.must(['ip', 'netns', 'exec', 'c1', 'sh', '-ec', script]);

/** Changes something, and what shows it: as long as it is not right again, that is not the text of before. */
interface Damage {
  readonly at: (script: string) => Promise<string>;
  readonly does: string;
  readonly shows: string;
}

const damages: Readonly<Record<string, () => Damage>> = {
  'a neighbour that goes': () => ({
    at: inNetwork,
    does: 'ip neighbour delete 10.0.0.9 dev vx0',
    shows: 'ip neighbour show nud permanent',
  }),
  'a neighbour that may change by itself': () => ({
    at: inNetwork,
    does: 'ip neighbour replace 10.0.0.9 lladdr 02:42:0a:00:00:09 dev vx0 nud stale',
    shows: 'ip neighbour show nud permanent',
  }),
  'a row of the tunnel that leads elsewhere': () => ({
    at: inNetwork,
    does: 'bridge fdb replace 02:42:0a:00:00:09 dev vx0 dst 10.77.0.7 self permanent',
    shows: 'bridge fdb show dev vx0',
  }),
  'a row too many': () => ({
    at: inNetwork,
    does: 'bridge fdb append 02:42:0a:00:00:66 dev vx0 dst 10.77.0.7 self permanent',
    shows: 'bridge fdb show dev vx0',
  }),
  'the row of a port': () => ({
    at: inNetwork,
    does: `bridge fdb delete 02:42:0a:00:00:02 dev ${port} master static`,
    shows: `bridge fdb show dev ${port} | grep static`,
  }),
  'the flags of a port': () => ({
    at: inNetwork,
    does: `bridge link set dev ${port} locked off flood on`,
    shows: `bridge -d link show dev ${port}`,
  }),
  'a link that is set down': () => ({
    at: inNetwork,
    does: 'ip link set br0 down',
    shows: "ip -o link show br0 | grep -o '[<,]UP[,>]'",
  }),
  'a bridge that looks for loops': () => ({
    at: inNetwork,
    does: 'ip link set br0 type bridge stp_state 1 mcast_snooping 1',
    shows: "ip -d link show br0 | grep -oE '(stp_state|mcast_snooping) [01]'",
  }),
  'a port that is moved into its container': () => ({
    at: inNetwork,
    does: `ip link set ${port} netns c1`,
    shows: `ip -o link show ${port} | grep -o 'master br0'`,
  }),
  'an MTU': () => ({
    at: inNetwork,
    does: `ip link set ${port} mtu 1300`,
    shows: `ip -o link show ${port} | grep -o 'mtu [0-9]*'`,
  }),
  'a port that goes': () => ({
    at: inNetwork,
    does: `ip link delete ${port}`,
    shows: `ip -o link show ${port} | grep -o master.br0`,
  }),
  'an address': () => ({
    at: inNetwork,
    does: 'ip address delete 10.0.0.1/24 dev br0',
    shows: "ip -o -4 address show br0 | grep -o 'inet [^ ]*'",
  }),
  'a route': () => ({ at: inNetwork, does: 'ip route delete default', shows: 'ip route show default' }),
  'whether packets are forwarded': () => ({
    at: inNetwork,
    does: 'sysctl -qw net.ipv4.ip_forward=0',
    shows: 'sysctl -n net.ipv4.ip_forward',
  }),
  'the filter': () => ({
    at: inNetwork,
    does: 'nft delete table bridge overlayd',
    shows: 'nft list table bridge overlayd',
  }),
  'a rule of the filter': () => ({
    at: inNetwork,
    does: 'nft insert rule bridge overlayd $(nft list chains bridge | grep -o "chain [a-z]*" | head -1 | cut -d" " -f2) accept',
    shows: 'nft list table bridge overlayd',
  }),
  'a filter that is put to sleep': () => ({
    at: inNetwork,
    does: 'nft "add table bridge overlayd { flags dormant; }"',
    shows: 'nft list table bridge overlayd',
  }),
  'the filter of the host, put to sleep': () => ({
    at: (script) => host.must(['sh', '-ec', script]),
    does: 'nft "add table inet overlayd { flags dormant; }"',
    shows: 'nft list table inet overlayd | grep -v counter',
  }),
  'an element of the filter': () => ({
    at: inNetwork,
    does: `nft flush set bridge overlayd $(nft list sets bridge | grep -o 'set [a-z]*' | head -1 | cut -d' ' -f2)`,
    shows: 'nft list table bridge overlayd',
  }),
  'the address of a container': () => ({
    at: inContainer,
    does: 'ip address flush dev eth0',
    shows: "ip -o -4 address show eth0 | grep -o 'inet [^ ]*'; ip route show default",
  }),
  'the route of a container': () => ({
    at: inContainer,
    does: 'ip route delete default',
    shows: 'ip route show default',
  }),
  'the interface of a container, set down': () => ({
    at: inContainer,
    does: 'ip link set eth0 down',
    shows: "ip -o link show eth0 | grep -o '[<,]UP[,>]'; ip route show default",
  }),
  'the MAC of a container': () => ({
    at: inContainer,
    does: 'ip link set eth0 address 02:42:0a:00:00:77',
    shows: "ip -o link show eth0 | grep -o 'ether [^ ]*'",
  }),
  'the way from the host': () => ({
    at: (script) => host.must(['sh', '-ec', script]),
    does: 'ip route delete 10.0.0.0/24',
    shows: 'ip route show 10.0.0.0/24',
  }),
  'an uplink of another name': () => ({
    at: (script) => host.must(['sh', '-ec', script]),
    does: 'ip link set ovl4096 down; ip link set ovl4096 name other',
    shows: "ip -o link show type veth | grep -oE 'ovl4096|other'; ip route show 10.0.0.0/24",
  }),
  'an uplink that is taken away': () => ({
    at: (script) => host.must(['sh', '-ec', script]),
    does: 'ip link set ovl4096 netns c1',
    shows: "ip -o link show type veth | grep -oE 'ovl4096'; ip route show 10.0.0.0/24",
  }),
  'the filter of the host': () => ({
    at: (script) => host.must(['sh', '-ec', script]),
    does: 'nft delete table inet overlayd',
    shows: 'nft list table inet overlayd | grep -v counter',
  }),
};

describe('is put back when it is told', () => {
  it.each(Object.entries(damages))('%s', async (_, damageOf) => {
    const { at, does, shows } = damageOf();
    const before = await at(shows);
    const { repairs } = station.reconciler.status();
    await at(does);
    await until('it to be as before', async () => (await at(shows)) === before);
    await until('the repair to be counted', () => station.reconciler.status().repairs > repairs);
  });
});

it('nobody is connected to a network whose filter cannot be written, and who is there stays', async () => {
  const taken = `delete table bridge overlayd; table bridge overlayd { flags owner; }`;
  await host.must(['mkfifo', '/run/end']);
  // The table is the process's own: nobody else may change it.
  const owner = host.spawn([
    'ip',
    'netns',
    'exec',
    'ovl-4096',
    'sh',
    '-c',
    `(echo '${taken}'; read -r _ </run/end) | nft -i`,
  ]);
  await until('it to be told', () => station.reconciler.status().problems.join().includes('not permitted'));
  await host.container('c2');
  await expect(station.attach(web, '10.0.0.3', 'c2')).rejects.toThrow('not permitted');
  const ports = await inNetwork("ip -o link show master br0 | grep -o ' e[0-9a-f]*@'");
  expect(ports.trim().split('\n')).toHaveLength(1);
  await inContainer('ping -q -c 1 -W 1 10.0.0.1');
  for (const { record } of [...station.world.local.values()])
    if (hasAddress(record, '10.0.0.3')) station.world.remove(record.id);
  // What others have is kept right all the same.
  await inNetwork('ip neighbour delete 10.0.0.9 dev vx0');
  await until('the row to be back', async () =>
    (await inNetwork('ip neighbour show nud permanent')).includes('10.0.0.9'),
  );
  await host.must(['sh', '-c', 'echo >/run/end']);
  await owner.exited;
  await until('the filter to be back', () => station.reconciler.status().problems.length === 0);
  await station.attach(web, '10.0.0.3', 'c2');
  await host.deleteContainer('c2');
  await until('the endpoint to be released', () => station.gone.length === 1);
});

it('a container that ends is told, though its port was taken away before', async () => {
  await host.deleteContainer('c1');
  await until('the endpoint to be released', () => station.gone.length === 1);
  await host.container('c1');
});

it('what is changed inside of a container in the moment in which it is attached is put back', async () => {
  await host.container('c2');
  const inSecond = (script: string) => host.must(['ip', 'netns', 'exec', 'c2', 'sh', '-ec', script]);
  // Again and again, as fast as can be, until the attachment is over.
  const deletes = `yes 'route delete default' | head -n 4000 >/run/deletions
    until [ -e /run/attached ]; do ip -force -batch /run/deletions >/dev/null 2>&1 || :; done
    rm /run/attached /run/deletions`;
  const deleting = inSecond(deletes);
  await station.attach(web, '10.0.0.3', 'c2');
  await host.must(['touch', '/run/attached']);
  await deleting;
  await until('the route to be back', async () => (await inSecond('ip route show default')).includes('10.0.0.1'));
  await host.deleteContainer('c2');
  await until('the endpoint to be released', () => station.gone.length === 1);
});

it('our own writing of rows is no drift, and nothing is looked at for it', async () => {
  const { passes, repairs } = station.reconciler.status();
  for (let index = 0; index < 20; index++) {
    station.world.addRemote(web, 'h2', `10.0.0.${100 + index}`);
    await station.reconciler.converge(web.id);
  }
  await station.quiet();
  const after = station.reconciler.status();
  expect(after.repairs).toBe(repairs);
  // And those that look at what the attachment wrote: one, or more where it took its time.
  expect(after.passes - passes).toBeLessThan(20 + 5);
});
