import { describe, expect, it } from 'vitest';
import { isForeignRule, parseIpEvent, parseNftEvent } from '../../../../src/adapters/kernel/monitor.ts';
import { namespaceId } from '../../../../src/adapters/kernel/namespace-ids.ts';

const ours = `[nsid ${namespaceId(4096)}]`;
const host = '[nsid current]';
const network = { kind: 'network', namespace: 'ovl-4096' };

// Lines as iproute2 6.1 prints them.
const events: readonly (readonly [string, unknown])[] = [
  [`${ours}Deleted 10.77.0.2 dev if3 lladdr 02:42:0a:00:00:09 NOARP PERMANENT `, network],
  [`${ours}Deleted dev e100000000000 lladdr 02:42:0a:00:00:02 PERMANENT `, network],
  [`${ours}10.0.0.9 dev vx0 lladdr 02:42:0a:00:00:09 PERMANENT `, network],
  [`${ours}Deleted 10.0.0.9 dev vx0 FAILED `, network],
  [
    `${ours}Deleted 5: e100000000000@NONE: <BROADCAST,MULTICAST> mtu 1450 qdisc noop state DOWN group default `,
    network,
  ],
  [`${ours}inet all forwarding off `, network],
  [`${ours}Deleted default via 169.254.0.1 dev up0 proto 79 onlink `, network],
  [
    `${ours}Deleted 3: br0    inet 10.0.0.1/24 scope global br0\\       valid_lft forever preferred_lft forever`,
    network,
  ],
  [`${host}2: ovl4096@if3: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state DOWN group default `, { kind: 'host' }],
  [`${host}Deleted 10.0.0.0/24 via 10.0.0.1 dev ovl4096 proto 79 onlink `, { kind: 'host' }],
  [`${host}inet all forwarding off `, { kind: 'host' }],
  [
    `${host}2: eth0@if9: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400 qdisc noqueue state UP group default `,
    { kind: 'underlay' },
  ],
  [`${host}172.20.0.0/16 via 10.77.0.3 dev eth0 `, { kind: 'underlay' }],
  [
    `${host}Deleted 1: lo    inet 169.254.53.53/32 scope host lo\\       valid_lft forever preferred_lft forever`,
    { kind: 'host' },
  ],
  [
    `${host}1: lo    inet 127.0.0.2/8 scope host lo\\       valid_lft forever preferred_lft forever`,
    { kind: 'underlay' },
  ],
  ['netlink receive error No buffer space available (105)', { kind: 'all' }],

  // What the kernel does by itself, and what is none of our business.
  [`${ours}10.0.0.2 dev br0 lladdr 02:42:0a:00:00:02 REACHABLE `, undefined],
  [`${ours}10.0.0.2 dev br0 lladdr 02:42:0a:00:00:02 STALE `, undefined],
  [`${ours}10.0.0.9 dev vx0 FAILED `, undefined],
  [`${ours}inet if3 forwarding on rp_filter off mc_forwarding off `, undefined],
  [`${ours}broadcast 10.0.0.255 dev br0 table local proto kernel scope link src 10.0.0.1 `, undefined],
  [`${host}10.77.0.2 dev eth0 lladdr 9e:3e:7b:ab:93:55 REACHABLE `, undefined],
  [`${host}local 10.77.0.1 dev eth0 table local proto kernel scope host src 10.77.0.1 `, undefined],
  [`${host}7: ovc0123456789ab@if6: <BROADCAST,MULTICAST> mtu 1450 qdisc noop state DOWN group default `, undefined],
  [`${host}Deleted 7: ovc0123456789ab@NONE: <BROADCAST,MULTICAST> mtu 1450 qdisc noop state DOWN `, undefined],
  ['[nsid 3]Deleted 2: eth0@NONE: <BROADCAST> mtu 1500 qdisc noop state DOWN ', undefined],
];

describe('events of `ip monitor`', () => {
  it.each(events)('%s', (line, change) => {
    expect(parseIpEvent(line)).toEqual(change);
  });
});

describe('events of `nft monitor`', () => {
  it('concern us when they are about our table', () => {
    expect(parseNftEvent('delete table inet overlayd')).toEqual({ kind: 'host' });
    expect(parseNftEvent('add element inet overlayd members { 10.77.0.2 }')).toEqual({ kind: 'host' });
    expect(parseNftEvent('add rule ip filter DOCKER accept')).toBeUndefined();
    expect(parseNftEvent('delete table inet overlayd2')).toBeUndefined();
  });
});

describe("rules of the host's that are not ours", () => {
  it.each([
    'delete rule ip filter DOCKER-USER handle 5',
    'insert rule ip filter DOCKER-USER counter packets 0 bytes 0 return',
    'add chain ip filter FORWARD { type filter hook forward priority filter; policy drop; }',
    'delete table inet firewalld',
  ])('%s', (line) => expect(isForeignRule(line)).toBe(true));

  it.each([
    'delete table inet overlayd',
    'add rule inet overlayd input udp dport 4789 drop comment "overlayd:00000000"',
    'add element ip filter bad { 10.0.0.1 }',
    '# new generation 6 by process 15782 (iptables-nft)',
  ])('not %s', (line) => expect(isForeignRule(line)).toBe(false));
});
