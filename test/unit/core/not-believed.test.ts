import { describe, expect, it } from 'vitest';
import { ClusterIndex } from '../../../src/core/cluster-index.ts';
import { Replica } from '../../../src/core/gossip/replica.ts';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type NodeRecord, type WireguardOffer } from '../../../src/core/records.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../fixtures/records.ts';
import { toldView } from '../../fixtures/told-view.ts';

const put = (key: string, record: object) => ({ key, value: encodeRecord(record) });
const gone = (key: string) => ({ key, value: undefined });
const wireguard = (...publicKeys: string[]): WireguardOffer => ({
  backend: 'kernel',
  keys: publicKeys.map((letter, i) => ({ publicKey: `${letter.repeat(43)}=`, number: 256 + i, port: 51_840 })),
});

/** `h1` and `h2`, admitted in that order, and heard of. */
function twoNodes(second: Partial<NodeRecord> = {}) {
  const told = toldView();
  const { tell } = told;
  const [one, two] = [
    nodeRecord({ id: 'h1', name: 'h1', vtep: '192.0.2.1', wireguard: wireguard('A') }),
    nodeRecord({ id: 'h2', name: 'h2', vtep: '192.0.2.2', wireguard: wireguard('B') }),
  ];
  for (const node of [one, two]) {
    const { id, name } = node;
    const live = put(keys.live(id), { nodeId: id, bootId: 'b', startedAt: 1 });
    tell([put(keys.node(id), node), { key: keys.nodeName(name), value: id }, live]);
  }
  const say = (node: NodeRecord, parts: Partial<NodeRecord>) => tell([put(keys.node(node.id), { ...node, ...parts })]);
  say(two, second);
  const whats = () => told.view.refusals.map(({ nodeId, what }) => `${nodeId} ${what}`);
  return { ...told, one, two, say, whats };
}

describe('a node', () => {
  it('that says it has the tunnel address of another is no member, until it says otherwise', () => {
    const { view, two, say, whats } = twoNodes();
    expect(whats()).toEqual([]);
    say(two, { vtep: '192.0.2.1' });
    expect([...view.nodes()].map(({ id }) => id)).toEqual(['h1']);
    expect(whats()).toEqual([expect.stringContaining('h2 has tunnel address 192.0.2.1 in its record')]);
    say(two, {});
    expect([...view.nodes()].map(({ id }) => id).sort()).toEqual(['h1', 'h2']);
    expect(whats()).toEqual([]);
  });

  it('keeps its address whoever says so later, and however often that one writes', () => {
    const { view, one, two, say } = twoNodes({ vtep: '192.0.2.1' });
    say(one, { underlayMtu: 1400 });
    say(two, { vtep: '192.0.2.1', joinedAt: 0 });
    expect([...view.nodes()].map(({ id }) => id)).toEqual(['h1']);
  });

  it('gets the address of one that is not there any more, as by DHCP', () => {
    const { view, tell } = twoNodes({ vtep: '192.0.2.1' });
    const { nodes } = tell([gone(keys.live('h1'))]);
    expect(nodes).toBe(true);
    expect(view.node('h2')).toMatchObject({ vtep: '192.0.2.1' });
    tell([put(keys.live('h1'), { nodeId: 'h1', bootId: 'b', startedAt: 2 })]);
    expect(view.node('h2')).toBeUndefined();
  });

  it.each([
    ['h1', 'h2'],
    ['h2', 'h1'],
  ])('admitted earlier or later: %s has the address of %s by the word of its own record alone', (thief, victim) => {
    const { view, one, two, say } = twoNodes();
    const [bad, good] = thief === 'h1' ? [one, two] : [two, one];
    say(bad, { vtep: good.vtep });
    say(good, { underlayMtu: 1_400 });
    expect([...view.nodes()].map(({ id }) => id)).toEqual([victim]);
  });

  it('is judged by the older record of those that are told of at once, and by itself as what it is', () => {
    const entry = (node: NodeRecord, revision: number) => ({ ...put(keys.node(node.id), node), revision });
    const live = (id: string) => ({ ...put(keys.live(id), { nodeId: id, bootId: 'b', startedAt: 1 }), revision: 3 });
    const [one, two] = ['h1', 'h2'].map((id) => nodeRecord({ id, name: id, vtep: '192.0.2.1' })) as [
      NodeRecord,
      NodeRecord,
    ];
    const seen = (selfId: string) => {
      const replica = new Replica();
      const view = new ClusterIndex(replica, () => true, selfId);
      view.apply(replica.mergeSnapshot(9, [entry(one, 8), entry(two, 7), live('h1'), live('h2')]));
      return [...view.nodes()].map(({ id }) => id).sort();
    };
    expect(seen('h3')).toEqual(['h2']);
    expect(seen('h1')).toEqual(['h1']);
  });

  it('behind NAT has whatever address it likes', () => {
    const { view } = twoNodes({ vtep: '192.0.2.1', nat: true });
    expect(view.node('h2')).toBeDefined();
  });

  it('has no WireGuard key of another, and keeps its own', () => {
    const { view, whats } = twoNodes({ wireguard: wireguard('B', 'A') });
    expect(view.node('h2')?.wireguard?.keys).toHaveLength(1);
    expect(view.node('h1')?.wireguard?.keys).toHaveLength(1);
    expect(whats()).toEqual(['h2 has the WireGuard key of another node in its record']);
    const { view: other } = twoNodes({ wireguard: wireguard('A') });
    expect(other.node('h2')).not.toHaveProperty('wireguard');
  });

  it('is not known by the name of another', () => {
    const { view, whats } = twoNodes({ name: 'h1' });
    expect(view.node('h2')?.name).toBe('h2');
    expect(whats()).toEqual([expect.stringContaining('h2 calls itself h1')]);
  });

  it('keeps the store when keepers say so', () => {
    const { view, tell, whats } = twoNodes({ holdsStore: true });
    expect(view.node('h2')?.holdsStore).toBe(true);
    tell([put(keys.storeKeepers, { nodeIds: ['h1'] })]);
    expect(view.node('h2')?.holdsStore).toBeUndefined();
    expect(whats()).toEqual([expect.stringContaining('h2 says that it keeps the store')]);
    tell([put(keys.storeKeepers, { nodeIds: ['h1', 'h2'] })]);
    expect(view.node('h2')?.holdsStore).toBe(true);
    expect(whats()).toEqual([]);
  });

  it('that says it is another one is not read', () => {
    const { view } = twoNodes({ id: 'h1' });
    expect([...view.unreadable.keys()]).toEqual([keys.node('h2')]);
    expect(view.node('h1')?.vtep).toBe('192.0.2.1');
  });
});

/** Endpoint `e1` of `h1` at 10.0.1.2 of network `n1`, claimed. */
function oneEndpoint() {
  const told = toldView();
  const record = endpointRecord({ id: 'e1' });
  const claim = (of: Pick<EndpointRecord, 'id' | 'nodeId'>, ip = '10.0.1.2') =>
    put(keys.address('n1', ip), { endpointId: of.id, nodeId: of.nodeId });
  told.tell([put(keys.network('n1'), networkRecord()), put(keys.endpoint(record), record), claim(record)]);
  const at = (ip: string) => told.view.addresses('n1').get(ip)?.id;
  // From now on the network is kept in step.
  expect(at('10.0.1.2')).toBe('e1');
  const whats = () => told.view.refusals.map(({ nodeId, what }) => `${nodeId} ${what}`);
  return { ...told, record, claim, at, whats };
}

describe('an endpoint', () => {
  it.each([
    ['10.0.1.1', 'which is the gateway'],
    ['10.0.1.0', 'which is the network address'],
    ['10.0.1.255', 'which is the broadcast address'],
    ['10.0.2.2', 'which is not in 10.0.1.0/24'],
  ])('is not at %s, %s', (ip, why) => {
    const { tell, claim, at, whats, view } = oneEndpoint();
    const bad = endpointRecord({ id: 'e2', nodeId: 'h2', addresses: [{ subnet: '10.0.1.0/24', ip }] });
    tell([put(keys.endpoint(bad), bad), claim(bad, ip)]);
    expect(at(ip)).toBeUndefined();
    expect(whats()).toEqual([`h2 has endpoint api of network web at ${ip}, ${why}`]);
    expect([...view.endpointsOn('n1')].map(({ id }) => id)).toEqual(['e1']);
    tell([gone(keys.endpoint(bad))]);
    expect(whats()).toEqual([]);
  });

  it('is judged by the network that is told of later, and by subnets that it gets', () => {
    const told = toldView();
    const record = endpointRecord({ id: 'e1', addresses: [{ subnet: '10.0.2.0/24', ip: '10.0.2.2' }] });
    told.tell([put(keys.endpoint(record), record)]);
    expect(told.view.addresses('n1').size).toBe(1);
    told.tell([put(keys.network('n1'), networkRecord())]);
    expect(told.view.addresses('n1').size).toBe(0);
    const { subnets } = networkRecord();
    const second = { cidr: '10.0.2.0/24', gateway: '10.0.2.1', auxAddresses: {} };
    const { endpoints } = told.tell([put(keys.network('n1'), networkRecord({ subnets: [...subnets, second] }))]);
    expect(told.view.addresses('n1').size).toBe(1);
    expect(endpoints.get('n1')).toEqual(new Set(['h1']));
    expect(told.view.refusals).toEqual([]);
  });
});

describe('a claim', () => {
  it('over that of an endpoint which is there is not believed, until that one has gone', () => {
    const { tell, record, claim, at, whats } = oneEndpoint();
    const thief = endpointRecord({ id: 'e2', nodeId: 'h2', createdAt: 0 });
    tell([put(keys.endpoint(thief), thief)]);
    tell([claim(thief)]);
    expect(at('10.0.1.2')).toBe('e1');
    expect(whats()).toEqual(['h2 claims 10.0.1.2, where endpoint api of another node is']);
    tell([put(keys.endpoint(record), { ...record, name: 'other' })]);
    expect(at('10.0.1.2')).toBe('e1');
    tell([gone(keys.endpoint(record))]);
    expect(at('10.0.1.2')).toBe('e2');
    expect(whats()).toEqual([]);
  });

  it('that names nobody is not believed either, and is forgotten when it is put right', () => {
    const { tell, record, claim, at, whats } = oneEndpoint();
    tell([claim({ id: 'e9', nodeId: 'h9' })]);
    expect(at('10.0.1.2')).toBe('e1');
    tell([claim(record)]);
    expect(whats()).toEqual([]);
    expect(at('10.0.1.2')).toBe('e1');
  });

  it('goes to another endpoint of the same host, and to another host with the endpoint', () => {
    const { tell, record, claim, at } = oneEndpoint();
    const next = endpointRecord({ id: 'e2' });
    tell([claim(next), put(keys.endpoint(next), next)]);
    expect(at('10.0.1.2')).toBe('e2');
    const other = endpointRecord({ id: 'e3', nodeId: 'h3' });
    tell([claim(other), gone(keys.endpoint(record)), gone(keys.endpoint(next)), put(keys.endpoint(other), other)]);
    expect(at('10.0.1.2')).toBe('e3');
  });
});
