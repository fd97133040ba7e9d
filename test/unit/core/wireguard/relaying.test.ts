import { expect, test } from 'vitest';
import type { NodeRecord, WireguardOffer } from '../../../../src/core/records.ts';
import { NatWays, PUNCHING_MS } from '../../../../src/core/wireguard/nat-ways.ts';
import { gossipAddress } from '../../../../src/core/wireguard/reach.ts';
import {
  isWireguardPacket,
  pairOf,
  pairsToRelay,
  relayedWay,
  relaysFor,
} from '../../../../src/core/wireguard/relaying.ts';
import { Sights } from '../../../../src/core/wireguard/sights.ts';

const keyOf = (id: string) => `${id}${'k'.repeat(43 - id.length)}=`;

function node(id: string, fields: Partial<NodeRecord> & { offer?: Partial<WireguardOffer> } = {}): NodeRecord {
  const { offer, ...rest } = fields;
  const keys = [{ publicKey: keyOf(id), number: id.charCodeAt(1), port: 51_840 }];
  const wireguard: WireguardOffer = { backend: 'kernel', keys, ...offer };
  const addresses = { advertiseAddress: `10.0.0.${id.charCodeAt(1)}`, vtep: `10.0.0.${id.charCodeAt(1)}` };
  return { id, name: id, left: false, gossipPort: 7946, ...addresses, wireguard, ...rest } as NodeRecord;
}

const everybody = () => true;
const RELAYS = ['p1', 'p2', 'p3'].map((id) => node(id));

const ends = (a: string, b: string) =>
  [
    { nodeId: a, publicKey: keyOf(a) },
    { nodeId: b, publicKey: keyOf(b) },
  ] as const;

test('all who know the same members choose the same relay, another for other pairs, and the next when it is gone', () => {
  const [first, second] = relaysFor(ends('na', 'nb'), RELAYS, everybody);
  expect(relaysFor(ends('nb', 'na'), RELAYS.toReversed(), everybody)[0]).toBe(first);
  expect(relaysFor(ends('na', 'nb'), RELAYS, (id) => id !== first!.id)[0]).toBe(second);
  const pairs = Array.from({ length: 40 }, (_, i) => relaysFor(ends('na', `n${i}`), RELAYS, everybody)[0]!.id);
  expect(new Set(pairs)).toEqual(new Set(['p1', 'p2', 'p3']));
});

test('members behind NAT, that have left, or without WireGuard relay nothing', () => {
  const { wireguard: _, ...bare } = node('p4');
  const nodes = [node('p1', { nat: true }), node('p2', { left: true }), bare];
  expect(relaysFor(ends('na', 'nb'), nodes, everybody)).toEqual([]);
});

test('one by which either of both does not get through to the other relays nothing between these two', () => {
  const [first, second] = relaysFor(ends('na', 'nb'), RELAYS, everybody);
  const avoided = [{ key: keyOf('nb'), relay: first!.id }];
  const nodes = [...RELAYS, node('na', { nat: true, offer: { avoided } }), node('nb', { nat: true })];
  for (const pair of [ends('na', 'nb'), ends('nb', 'na')]) expect(relaysFor(pair, nodes, everybody)[0]).toBe(second);
  expect(relaysFor(ends('na', 'nc'), nodes, everybody)).toHaveLength(3);
});

test('the first relays what one of both asks for, between their keys, and the second is ready to', () => {
  const na = node('na', { nat: true, offer: { unreached: [keyOf('nb'), keyOf('gone'), keyOf('p1'), keyOf('na')] } });
  const nodes = [...RELAYS, na, node('nb', { nat: true })];
  const asked = RELAYS.map(({ id }) => pairsToRelay(id, nodes, everybody));
  const pair = { keys: pairOf(keyOf('nb'), keyOf('na')), nodeIds: ['na', 'nb'] };
  expect(asked.flat()).toEqual([pair, pair]);
  const last = relaysFor(ends('na', 'nb'), RELAYS, everybody)[2]!.id;
  expect(asked[RELAYS.findIndex(({ id }) => id === last)]).toEqual([]);
  expect(pairsToRelay('p1', [...RELAYS, node('na', { nat: true }), node('nb', { nat: true })], everybody)).toEqual([]);
});

test('each of both sends to a port of its own, of the first that relays', () => {
  const relay = { between: pairOf(keyOf('na'), keyOf('nb')), ports: [700, 701] as const };
  const nodes = RELAYS.map(({ id }) => node(id, { offer: { relays: [relay] } }));
  const [a, b] = ['na', 'nb'].map((nodeId) => ({ nodeId, publicKey: keyOf(nodeId) })) as [never, never];
  const first = relaysFor(ends('na', 'nb'), nodes, everybody)[0]!;
  expect(relayedWay([a, b], nodes, everybody)).toEqual({ relay: first, endpoint: `${first.vtep}:700` });
  expect(relayedWay([b, a], nodes, everybody)?.endpoint).toBe(`${first.vtep}:701`);
  expect(relayedWay([a, b], nodes, (id) => id !== first.id)?.relay.id).not.toBe(first.id);
  expect(relayedWay([a, b], RELAYS, everybody)).toBeUndefined();
});

test("nothing but WireGuard's messages is passed on", () => {
  const packet = (kind: number, bytes = 32) => Uint8Array.from([kind, ...Array<number>(bytes - 1).fill(0)]);
  expect([0, 1, 2, 3, 4, 5].map((kind) => isWireguardPacket(packet(kind)))).toEqual([
    false,
    true,
    true,
    true,
    true,
    false,
  ]);
  expect(isWireguardPacket(packet(4, 31))).toBe(false);
  expect(isWireguardPacket(Uint8Array.from([4, 1, ...Array<number>(60).fill(0)]))).toBe(false);
});

const WAY = { nodeId: 'nb', own: '203.0.113.1:1', theirs: '203.0.113.2:2', isUp: false, isByRelay: false };

test('who does not get through within a while goes by a relay, and stays there when one of both is seen elsewhere', () => {
  const ways = new NatWays();
  ways.note([WAY], 0);
  ways.note([{ ...WAY, theirs: '203.0.113.2:3' }], PUNCHING_MS - 1);
  expect(ways.isRelayed('nb')).toBe(false);
  ways.note([WAY], PUNCHING_MS);
  expect(ways.isRelayed('nb')).toBe(true);
  for (const theirs of ['203.0.113.2:2', '203.0.113.2:3', undefined]) {
    ways.note([{ ...WAY, isUp: true, isByRelay: true, theirs }], PUNCHING_MS + 1);
    ways.note([{ ...WAY, isByRelay: true, theirs }], PUNCHING_MS + 2);
    expect(ways.isRelayed('nb')).toBe(true);
  }
  ways.note([], 4 * PUNCHING_MS);
  expect(ways.isRelayed('nb')).toBe(false);
});

test('the time to get through begins when both are seen', () => {
  const ways = new NatWays();
  ways.note([{ ...WAY, theirs: undefined }], 0);
  ways.note([{ ...WAY, theirs: undefined }], 60_000);
  ways.note([WAY], 60_001);
  expect(ways.isRelayed('nb')).toBe(false);
  ways.note([WAY], 60_000 + PUNCHING_MS);
  expect(ways.isRelayed('nb')).toBe(true);
});

test('a way that WireGuard finds past the relay is left to it, until packets come by the relay again, or none', () => {
  const ways = new NatWays();
  const note = (isByRelay: boolean, parts: Partial<typeof WAY> = {}, at = 0) => {
    ways.note([{ ...WAY, isUp: true, ...parts, isByRelay }], at);
    return [ways.isRelayed('nb'), ways.isFound('nb')];
  };
  // An agent that starts beside a relay that is in use.
  expect(note(true)).toEqual([true, false]);
  expect(note(false)).toEqual([false, true]);
  expect(note(false, { theirs: '203.0.113.2:3' })).toEqual([false, true]);
  expect(note(true)).toEqual([true, false]);
  expect(note(false)).toEqual([false, true]);
  // What ends is replaced at once.
  expect(note(false, { isUp: false }, 1)).toEqual([true, false]);
});

test('who calls, and gets packets by a relay, is relayed as the other end is, and tries to get past it', () => {
  const ways = new NatWays();
  // An agent that starts after one that ended while it sent past the relay.
  ways.note([{ ...WAY, isUp: true }], 0);
  expect(ways.isRelayed('nb')).toBe(false);
  ways.note([{ ...WAY, isUp: true, isByRelay: true }], 1);
  expect(ways.isRelayed('nb')).toBe(true);
  expect(ways.takeTurn('nb', 60_000)).toBe(true);
});

test('it is tried to get past a relay soon, then less and less often, and soon again when something is new', () => {
  const ways = new NatWays();
  const relayed = { ...WAY, isUp: true, isByRelay: true };
  const turns = (from: number, until: number, parts: Partial<typeof WAY> = {}) => {
    const found: number[] = [];
    for (let at = from; at < until; at += 1_000) {
      ways.note([{ ...relayed, ...parts }], at);
      if (ways.takeTurn('nb', at)) found.push((at - from) / 1_000);
    }
    return found;
  };
  expect(turns(0, 500_000)).toEqual([2, 6, 14, 30, 62, 126, 246, 366, 486]);
  expect(turns(500_000, 510_000, { theirs: '203.0.113.2:3' })).toEqual([2, 6]);
  // Nobody could be asked.
  expect(turns(510_000, 600_000, { theirs: '203.0.113.2:3', isUp: false })).toEqual([]);
  expect(turns(600_000, 610_000, { theirs: '203.0.113.2:3' })).toEqual([2, 6]);
});

test('one outside is believed about where this host is seen, the same as long as it says so', () => {
  const sights = new Sights();
  const nodes = [node('p1'), node('p2'), node('n9', { nat: true })];
  const tell = (from: string, endpoint: string, at: number) =>
    sights.note(from, { keys: [{ publicKey: 'k', endpoint }] }, at);
  expect(sights.seenAt('k', nodes, 0)).toBeUndefined();
  expect(tell('n9', '192.168.1.2:9', 0)).toBe(true);
  expect(tell('p2', '203.0.113.1:2', 0)).toBe(true);
  expect(sights.seenAt('k', nodes, 0)).toBe('203.0.113.1:2');
  expect(tell('p1', '203.0.113.1:1', 1)).toBe(true);
  expect(tell('p1', '203.0.113.1:1', 2)).toBe(false);
  expect(sights.seenAt('k', nodes, 2)).toBe('203.0.113.1:1');
  expect(sights.seenAt('other', nodes, 2)).toBeUndefined();
  tell('p2', '203.0.113.1:2', 40_000);
  expect(sights.seenAt('k', nodes, 40_000)).toBe('203.0.113.1:2');
  tell('p1', 'nonsense', 40_000);
  tell('p1', 'name.example:1', 40_000);
  expect(sights.seenAt('k', nodes, 40_000)).toBe('203.0.113.1:2');
});

test('agents are called inside of the tunnel where one of both is behind NAT', () => {
  const [open, hidden] = [node('p1'), node('na', { nat: true })];
  expect(gossipAddress(open, open, true)).toBe('10.0.0.49:7946');
  expect(gossipAddress(undefined, open, true)).toBe('10.0.0.49:7946');
  for (const up of [true, false]) expect(gossipAddress(open, hidden, up)).toBe('198.19.0.97:7946');
  expect(gossipAddress(hidden, open, true)).toBe('198.19.0.49:7946');
  expect(gossipAddress(hidden, open, false)).toBe('10.0.0.49:7946');
  const { wireguard: _, ...without } = hidden;
  expect(gossipAddress(open, without, true)).toBeUndefined();
});
