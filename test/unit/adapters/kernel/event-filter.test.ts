/** Which of the kernel's events are told, and as what. */
import { beforeEach, describe, expect, it } from 'vitest';
import { EventFilter } from '../../../../src/adapters/kernel/event-filter.ts';
import { namespaceId } from '../../../../src/adapters/kernel/namespace-ids.ts';
import { deleteAddress, replaceAddress } from '../../../../src/adapters/netlink/address.ts';
import { PayloadWriter } from '../../../../src/adapters/netlink/attributes.ts';
import { newBridge, newVeth } from '../../../../src/adapters/netlink/link.ts';
import {
  encodeMessage,
  type Message,
  messageBytes,
  messagesOf,
  type Request,
} from '../../../../src/adapters/netlink/message.ts';
import { newNsid } from '../../../../src/adapters/netlink/namespace-id.ts';
import {
  deleteFdb,
  deleteNeighbour,
  replaceFdb,
  replaceNeighbour,
} from '../../../../src/adapters/netlink/neighbour.ts';
import { decodeNetconf } from '../../../../src/adapters/netlink/netconf.ts';
import { deleteRoute, replaceRoute } from '../../../../src/adapters/netlink/route.ts';
import * as nd from '../../../../src/adapters/netlink/uapi/neighbour.ts';
import * as rt from '../../../../src/adapters/netlink/uapi/rtnetlink.ts';
import { parseIp } from '../../../../src/core/ip.ts';
import recorded from '../../../fixtures/netlink-messages.json' with { type: 'json' };

const WEB = namespaceId(4096);
const CONTAINER = 3;
const NETWORK = [{ kind: 'network', namespace: 'ovl-4096' }];
const INSIDE = [{ kind: 'container', path: '/run/netns/c1' }];

let filter: EventFilter;
beforeEach(() => {
  filter = new EventFilter();
  filter.know([]);
  filter.follow(CONTAINER, '/run/netns/c1');
});

/** An event has the form of the request that causes it. */
function event(request: Request): Message {
  const datagram = new Uint8Array(messageBytes(request));
  encodeMessage(request, 0, 0, datagram, 0);
  return [...messagesOf(datagram)][0]!;
}
const told = (name: keyof typeof recorded): Message[] => [...messagesOf(Buffer.from(recorded[name], 'hex'))];
const route = (message: Message, nsid?: number) => filter.route(message, nsid);

const veth = (name: string, mtu = 1450, index = 9) =>
  event(newVeth({ name, mac: '02:00:00:00:00:01', mtu, index }, { name: 'p', mac: '02:00:00:00:00:02', mtu: 1450 }));
const gone = (message: Message, type: number): Message => ({ ...message, type });
const row = { link: 9, address: '10.0.0.9', mac: '02:42:0a:00:00:09' };
const fdb = { link: 9, mac: '02:42:0a:00:00:09', vtep: '10.77.0.2' };
const address = { link: 9, address: '10.0.0.1', prefix: 24, scope: 0 };
const row6 = { ...row, address: 'fd00::9' };
const fdb6 = { ...fdb, vtep: '2001:db8::2', port: 8472 };
const address6 = { ...address, address: 'fd00::1', prefix: 64 };
const way6 = { destination: 'fd00:9::', prefix: 48, link: 9, protocol: 4 };
const OF_PORT = { link: 502, mac: '02:42:0a:00:00:05' };
const way = { destination: '10.9.0.0', prefix: 16, link: 9, protocol: 4 };

function neighbour(state: number): Message {
  const writer = new PayloadWriter().header(nd.NDMSG_BYTES, (view, at) => {
    view.setUint8(at, 2);
    view.setInt32(at + 4, row.link, true);
    view.setUint16(at + 8, state, true);
  });
  return event({ type: rt.RTM_NEWNEIGH, flags: 0, payload: writer.ip(nd.NDA_DST, parseIp(row.address)!).payload() });
}

function labelled(label: string, text = '10.0.0.1'): Message {
  const writer = new PayloadWriter().header(8, (view, at) => view.setUint8(at, 2));
  return event({ type: rt.RTM_NEWADDR, flags: 0, payload: writer.ip(2, parseIp(text)!).text(3, label).payload() });
}

describe('in a network’s namespace', () => {
  it.each([
    ['a link', veth('e1')],
    ['a link that goes', gone(veth('e1'), rt.RTM_DELLINK)],
    ['an address', event(replaceAddress(address))],
    ['an address that goes', event(deleteAddress(address))],
    ['a route', event(replaceRoute(way))],
    ['a route that goes', event(deleteRoute(way))],
    ['an address of IPv6', event(replaceAddress(address6))],
    ['a route of IPv6', event(replaceRoute(way6))],
    ['forwarding of IPv6', told('ipv6 event: forwarding').find((message) => decodeNetconf(message).index === -1)!],
    ['forwarding', told('event: forwarding').find((message) => decodeNetconf(message).index === -1)!],
    ['its end', gone(event(newNsid(0, WEB)), rt.RTM_DELNSID)],
  ])('%s is told', (_, message) => {
    expect(route(message, message.type === rt.RTM_DELNSID ? undefined : WEB)).toEqual(NETWORK);
  });

  it.each([
    ['a neighbour', event(replaceNeighbour(row)), { what: 'written', ...row }],
    ['a neighbour that goes', event(deleteNeighbour(row)), { what: 'gone', ...row, mac: '' }],
    ['a neighbour that the kernel knows by itself', neighbour(nd.NUD_STALE), { what: 'unwritten', ...row, mac: '' }],
    ['a neighbour of IPv6', event(replaceNeighbour(row6)), { what: 'written', ...row6 }],
    ['a neighbour of IPv6 that goes', event(deleteNeighbour(row6)), { what: 'gone', ...row6, mac: '' }],
    ['an FDB row', event(replaceFdb(fdb)), { what: 'written', ...fdb }],
    ['an FDB row over IPv6', event(replaceFdb(fdb6)), { what: 'written', ...fdb6 }],
    ['an FDB row that goes', event(deleteFdb(fdb)), { what: 'gone', ...fdb }],
    ['an FDB row of a port', told('fdb: port')[0]!, { what: 'written', ...OF_PORT }],
    ['an FDB row of a port that goes', told('event: row deleted')[0]!, { what: 'gone', ...OF_PORT }],
  ])('%s is told, and which', (_, message, { link: index, ...rest }) => {
    const [change] = route(message, WEB);
    const none = { link: undefined, address: undefined, vtep: undefined, port: undefined };
    expect(change).toEqual({ ...NETWORK[0], rows: [{ ...none, ...rest, index }] });
    route(veth('e1', 1450, index), WEB);
    expect(route(message, WEB)).toEqual([expect.objectContaining({ rows: [expect.objectContaining({ link: 'e1' })] })]);
  });

  it("a port's row for a VLAN, which the kernel makes beside each and takes away with it, is not told", () => {
    const writer = new PayloadWriter().header(nd.NDMSG_BYTES, (view, at) => {
      view.setUint8(at, 7);
      view.setInt32(at + 4, OF_PORT.link, true);
      view.setUint16(at + 8, nd.NUD_NOARP, true);
    });
    // In the host's order.
    writer
      .mac(nd.NDA_LLADDR, OF_PORT.mac)
      .u32(nd.NDA_MASTER, 501)
      .be16(nd.NDA_VLAN, 1 << 8);
    for (const type of [rt.RTM_NEWNEIGH, rt.RTM_DELNEIGH])
      expect(route(event({ type, flags: 0, payload: writer.payload() }), WEB)).toEqual([]);
  });

  it('a neighbour whose IPv4 address is written as IPv6 is not told, as it is not that of IPv4', () => {
    const mapped = { ...row, address: `::ffff:${row.address}` };
    expect(route(event(replaceNeighbour(mapped)), WEB)).toEqual([]);
    expect(route(event(deleteNeighbour(mapped)), WEB)).toEqual([]);
  });

  it('a second namespace of the same network is its namespace too', () => {
    expect(route(veth('e1'), namespaceId(4096, 3))).toEqual(NETWORK);
  });

  it('what the kernel learns and confirms by itself is not told', () => {
    for (const name of ['fdb: port', 'event: row deleted'] as const) {
      const [message] = told(name);
      // A row that the bridge learnt, or its own: it comes and goes.
      for (const state of [nd.NUD_REACHABLE, nd.NUD_PERMANENT]) {
        message!.view.setUint16(message!.start + 8, state, true);
        expect(route(gone(message!, rt.RTM_DELNEIGH), WEB)).toEqual([]);
      }
    }
    const local = { ...way, table: rt.RT_TABLE_LOCAL };
    const message = event(replaceRoute(local));
    message.view.setUint8(message.start + 4, rt.RT_TABLE_LOCAL);
    expect(route(message, WEB)).toEqual([]);
  });

  it('a link of which nothing that counts is otherwise is told once', () => {
    expect(route(veth('e1'), WEB)).toEqual(NETWORK);
    expect(route(veth('e1'), WEB)).toEqual([]);
    expect(route(veth('e1'), namespaceId(4097))).toEqual([{ kind: 'network', namespace: 'ovl-4097' }]);
    expect(route(veth('e1', 1400), WEB)).toEqual(NETWORK);
    expect(route(veth('e1'), WEB)).toEqual(NETWORK);
    filter.forget();
    expect(route(veth('e1'), WEB)).toEqual(NETWORK);
    const port = told('event: port')[0]!;
    expect(route(port, WEB)).toEqual(NETWORK);
    expect(route(port, WEB)).toEqual([]);
  });

  it('our table is told, others are not', () => {
    const [table] = told('event: nft');
    expect(filter.table(table!, WEB)).toEqual(NETWORK);
    expect(told('event: nft').map((message) => filter.table(message, CONTAINER))).toEqual([[], [], []]);
    expect(filter.table(told('generation')[0]!, WEB)).toEqual([]);
  });
});

describe('in the host', () => {
  it('what is ours is told apart from what we go by', () => {
    expect(route(veth('ovl4096'))).toEqual([{ kind: 'host' }]);
    expect(route(veth('eth0', 1450, 2))).toEqual([{ kind: 'underlay' }]);
    expect(route(labelled('ovl4096'))).toEqual([{ kind: 'host' }]);
    expect(route(labelled('lo', '169.254.53.53'))).toEqual([{ kind: 'host' }]);
    expect(route(labelled('lo', '127.0.0.2'))).toEqual([{ kind: 'underlay' }]);
    expect(route(event(replaceRoute({ ...way, protocol: 79 })))).toEqual([{ kind: 'host' }]);
    expect(route(event(deleteRoute(way)))).toEqual([{ kind: 'underlay' }]);
    expect(told('event: forwarding').flatMap((message) => route(message))).toEqual([{ kind: 'host' }]);
  });

  it('what of IPv6 is ours is told apart, and what links make by themselves is not told', () => {
    route(veth('ovl4096', 1450, address6.link));
    expect(route(event(replaceAddress(address6)))).toEqual([{ kind: 'host' }]);
    expect(route(event(replaceAddress({ ...address6, link: 77 })))).toEqual([{ kind: 'underlay' }]);
    const ofLink = { ...address6, link: 77, address: 'fe80::1', scope: rt.RT_SCOPE_LINK };
    expect(route(event(replaceAddress(ofLink)))).toEqual([]);
    expect(route(event(replaceRoute({ ...way6, protocol: 79 })))).toEqual([{ kind: 'host' }]);
    expect(route(event(deleteRoute(way6)))).toEqual([{ kind: 'underlay' }]);
    const toLink = { ...way6, destination: 'fe80::', prefix: 64, protocol: rt.RTPROT_KERNEL };
    expect(route(event(replaceRoute(toLink)))).toEqual([]);
    expect(route(event(replaceNeighbour(row6)))).toEqual([{ kind: 'host' }]);
    expect(route(event(replaceNeighbour({ ...row6, address: 'ff02::1' })))).toEqual([]);
  });

  it('what waits for an engine is its and ours', () => {
    expect(route(veth('ovc0123456789ab'))).toEqual([]);
    expect(route(gone(veth('ovc0123456789ab'), rt.RTM_DELLINK))).toEqual([]);
  });

  it('rows of uplinks alone are told', () => {
    expect(route(event(deleteNeighbour(row)))).toEqual([]);
    route(veth('ovl4096', 1450, row.link));
    expect(route(event(deleteNeighbour(row)))).toEqual([{ kind: 'host' }]);
    expect(route(event(replaceNeighbour({ ...row, link: 77 })))).toEqual([]);
  });

  it('an uplink that gets another name is told after a loss, once the uplinks are known again', () => {
    const uplink = veth('ovl4096');
    route(uplink);
    filter.forget();
    filter.know([{ index: 9, name: 'ovl4096' }]);
    expect(route(veth('other'))).toEqual([{ kind: 'host' }, ...NETWORK]);
  });

  it('what was told while somebody looked for the uplinks is later than what was seen, or told once more', () => {
    filter.forget();
    const NAMES = [veth('other', 1450, 7), veth('ovl4097', 1450, 8), gone(veth('ovl4098', 1450, 9), rt.RTM_DELLINK)];
    for (const message of NAMES) route(message);
    const uplinks = [7, 9, 10].map((index) => ({ index, name: `ovl409${index - 1}` }));
    expect(filter.know(uplinks)).toEqual([{ kind: 'host' }, ...NETWORK]);
    const rowOf = (link: number) => route(event(replaceNeighbour({ ...row, link })));
    expect([7, 8, 9, 10].map((link) => rowOf(link).length)).toEqual([0, 1, 0, 1]);
    expect(filter.know(uplinks)).toEqual([]);
  });

  it('where nobody could look for them any link may be one, and nothing is kept for later', () => {
    filter.forget();
    route(veth('other', 1450, 7));
    expect(filter.know(undefined)).toEqual([]);
    expect(route(event(replaceNeighbour({ ...row, link: 7 })))).toEqual([{ kind: 'host' }]);
    expect(filter.know([{ index: 7, name: 'ovl4096' }])).toEqual([]);
  });

  it('rows of any link are told after a loss: it may be an uplink that was made meanwhile', () => {
    filter.forget();
    expect(route(event(replaceNeighbour(row)))).toEqual([{ kind: 'host' }]);
    filter.know([]);
    expect(route(event(replaceNeighbour(row)))).toEqual([]);
  });

  it('tables of others are the firewall, but for elements of their sets', () => {
    const asHost = told('event: nft').map((message) => filter.table(message, undefined));
    expect(asHost).toEqual([[{ kind: 'firewall' }], [], []]);
    const [table] = told('event: nft');
    table!.view.setUint8(table!.start, 1);
    expect(filter.table(table!, undefined)).toEqual([{ kind: 'host' }]);
  });
});

describe('inside of a container', () => {
  it('links, addresses and routes are told by its paths, until it ends', () => {
    expect(route(veth('eth0'), CONTAINER)).toEqual(INSIDE);
    expect(route(veth('eth0'), CONTAINER)).toEqual([]);
    expect(route(event(deleteAddress(address)), CONTAINER)).toEqual(INSIDE);
    filter.follow(CONTAINER, '/proc/7/ns/net');
    const both = [...INSIDE, { kind: 'container', path: '/proc/7/ns/net' }];
    expect(route(event(deleteRoute(way)), CONTAINER)).toEqual(both);
    expect(route(gone(event(newNsid(0, CONTAINER)), rt.RTM_DELNSID))).toEqual(both);
    expect(route(event(deleteRoute(way)), CONTAINER)).toEqual([]);
  });

  it('what happened before anybody followed it is told then, once', () => {
    expect(filter.follow(4, '/run/netns/c4')).toEqual([]);
    expect(route(event(replaceAddress(address)), 5)).toEqual([]);
    expect(filter.follow(5, '/run/netns/c5')).toEqual([{ kind: 'container', path: '/run/netns/c5' }]);
    expect(filter.follow(5, '/run/netns/c5')).toEqual([]);
  });

  it('the end of what has the id of one that is about to be followed is told then: it may be its own', () => {
    const ended = () => route(gone(event(newNsid(0, 5)), rt.RTM_DELNSID));
    const five = [{ kind: 'container', path: '/run/netns/c5' }];
    expect(ended()).toEqual([]);
    expect(filter.follow(5, '/run/netns/c5')).toEqual([]);
    filter.expect(5);
    filter.expect(5);
    expect(ended()).toEqual(five);
    expect(filter.follow(5, '/run/netns/c5')).toEqual(five);
    expect(ended()).toEqual(five);
    expect(filter.follow(5, '/run/netns/c5')).toEqual(five);
    expect(ended()).toEqual(five);
    expect(filter.follow(5, '/run/netns/c5')).toEqual([]);
  });

  it('rows are its own, and so is all of a container that nobody asked for', () => {
    expect(route(event(replaceNeighbour(row)), CONTAINER)).toEqual([]);
    for (const message of [
      veth('eth0'),
      event(replaceAddress(address)),
      event(newBridge({ name: 'br0', mac: '02:00:00:00:00:01', mtu: 1450 }, { stp: false, multicastSnooping: false })),
    ])
      expect(route(message, 4)).toEqual([]);
  });
});

it('when the namespace of WireGuard comes anything may have changed, and of no other one', () => {
  const comes = (id: number) => route(event(newNsid(0, id)), undefined);
  for (const nth of [0, 1]) expect(comes(namespaceId(2 ** 24, nth))).toEqual([{ kind: 'all' }]);
  for (const id of [0, CONTAINER, WEB, namespaceId(4096, 1), 2 ** 24]) expect(comes(id)).toEqual([]);
});
