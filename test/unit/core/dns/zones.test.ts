import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { recordsOf } from '../../../../src/core/dns/zone.ts';
import { ZoneChanges } from '../../../../src/core/dns/zone-changes.ts';
import { Zones } from '../../../../src/core/dns/zones.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { type EndpointRecord, keys, type NetworkRecord } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../../fixtures/records.ts';
import { toldView } from '../../../fixtures/told-view.ts';
import { buildZone, takeNews } from './zone-of.ts';

const NETWORKS = ['w', 'd'];
const TTL = { ttlSeconds: 5 };

const WIDE = '10.0.0.0/16';
const subnets = [{ cidr: WIDE, gateway: '10.0.0.1', auxAddresses: {} }];
const network = (id: string, name: string) => networkRecord({ id, name, subnets });

const endpoint = (
  host: number,
  { address = `10.0.1.${host}`, ...parts }: Partial<EndpointRecord> & { address?: string } = {},
) =>
  endpointRecord({
    ...{ id: `${'f'.repeat(12)}${host}`, networkId: 'w', addresses: [{ subnet: WIDE, ip: address }], name: `n${host}` },
    ...parts,
  });

/** A view, who is hidden and who is not reached, and zones that are told of all changes when `tell` is called. */
function setUp() {
  const { view, tell: tellView } = toldView();
  const hidden = new Set<string>();
  const unreached = new Set<string>();
  let hiddenNow: ReadonlySet<string> = new Set();
  const sources = {
    view,
    // Another set when others are hidden.
    hidden: () => {
      const isSame = hidden.size === hiddenNow.size && [...hidden].every((id) => hiddenNow.has(id));
      if (!isSame) hiddenNow = new Set(hidden);
      return hiddenNow;
    },
    reaches: vi.fn((_: EndpointRecord, address: string) => !unreached.has(address)),
    reachesAll: () => unreached.size === 0,
  };
  const zones = new Zones();
  zones.setTtl(TTL.ttlSeconds);
  let changes = new ZoneChanges(sources);
  let session = 1;
  const tell = (networkId: string, certain = true) => {
    const news = [...changes.take(networkId, certain)];
    takeNews(zones, news, session);
    return news;
  };
  const tellAhead = (networkId: string) => {
    const news = [...changes.takeAhead(networkId)];
    takeNews(zones, news, session);
    return news;
  };
  const whole = (networkId: string) => takeNews(zones, [{ kind: 'whole', networkId }], session);
  /** Another agent, which has told nothing yet. */
  const restart = () => {
    changes = new ZoneChanges(sources);
    session += 1;
  };
  const change = (key: string, record: object | undefined) =>
    tellView([{ key, value: record && encodeRecord(record) }]);
  const remove = (networkId: string, address: string) => {
    const record = view.addresses(networkId).get(address);
    if (record) change(keys.endpoint(record), undefined);
  };
  /** In the place of whoever was there. */
  const put = (record: EndpointRecord) => {
    for (const { ip } of record.addresses) remove(record.networkId, ip);
    change(keys.endpoint(record), record);
  };
  const setNetwork = (id: string, record: NetworkRecord | undefined) => change(keys.network(id), record);
  for (const id of NETWORKS) setNetwork(id, network(id, id));
  return { sources, zones, hidden, unreached, put, remove, setNetwork, tell, tellAhead, whole, restart };
}

type Step = (world: ReturnType<typeof setUp>) => void;

/** Few names, hosts and addresses, so that they meet. */
const arbitrary = {
  networkId: fc.constantFrom(...NETWORKS),
  host: fc.integer({ min: 2, max: 6 }),
  nodeId: fc.constantFrom('h1', 'h2', 'h3'),
  name: fc.constantFrom('a', 'b', 'A', 'a.w', 'tasks'),
  id: fc.constantFrom('1', '2', '3').map((digit) => digit.repeat(64)),
};
const aliases = fc.array(arbitrary.name, { maxLength: 3 });
const health = fc.option(fc.constant('unhealthy' as const), { nil: undefined });

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ ...arbitrary, aliases, health }).map(putStep), weight: 6 },
  {
    arbitrary: fc.record({ networkId: arbitrary.networkId, host: arbitrary.host }).map(removeStep),
    weight: 2,
  },
  arbitrary.nodeId.map(
    (nodeId): Step =>
      (world) =>
        toggle(world, world.hidden, nodeId),
  ),
  arbitrary.host.map(
    (host): Step =>
      (world) =>
        toggle(world, world.unreached, `10.0.1.${host}`),
  ),
  fc.record({ id: arbitrary.networkId, name: fc.constantFrom('w', 'd', 'Other') }).map(
    ({ id, name }): Step =>
      ({ setNetwork }) =>
        setNetwork(id, network(id, name)),
  ),
  { arbitrary: fc.tuple(arbitrary.networkId, fc.boolean()).map(tellStep), weight: 2 },
  arbitrary.networkId.map(
    (networkId): Step =>
      ({ tellAhead }) =>
        void tellAhead(networkId),
  ),
  fc.constant<Step>(({ restart }) => restart()),
);

type Fields = Partial<Omit<EndpointRecord, 'health'>> & { readonly health: EndpointRecord['health'] | undefined };

function putStep({ host, health, ...parts }: { host: number } & Fields): Step {
  return ({ put }) => put(endpoint(host, { ...parts, ...(health && { health }) }));
}

function removeStep({ networkId, host }: { networkId: string; host: number }): Step {
  return ({ remove }) => remove(networkId, `10.0.1.${host}`);
}

/** What is kept is of this moment, or of what is known for sure in it. */
function tellStep([networkId, certain]: [string, boolean]): Step {
  return ({ tell }) => void tell(networkId, certain);
}

function toggle(_: ReturnType<typeof setUp>, set: Set<string>, value: string): void {
  if (!set.delete(value)) set.add(value);
}

describe('a zone that is kept', () => {
  it('equals one built from nothing after any changes, over any number of agents', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const world = setUp();
        for (const take of steps) take(world);
        for (const id of NETWORKS) {
          world.tell(id);
          world.whole(id);
          const built = buildZone(world.sources, id, TTL)!;
          expect(world.zones.get(id)).toEqual(built);
          const copy = new Zones();
          copy.setTtl(TTL.ttlSeconds);
          takeNews(copy, [...world.zones.tell(2)]);
          expect(copy.get(id)).toEqual(built);
          expect(copy.isWhole(id)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keeps the encoded answers of names that did not change', () => {
    const { zones, put, remove, hidden, tell, restart, whole } = setUp();
    put(endpoint(2, { aliases: ['both'] }));
    put(endpoint(3, { aliases: ['both'], nodeId: 'h2' }));
    const answer = (name: string) => {
      tell('w');
      const zone = zones.get('w')!;
      return recordsOf(zone, zone.names.get(name)!, 4);
    };
    const [one, both] = [answer('n2'), answer('both')];
    put(endpoint(4, { aliases: ['both'] }));
    expect(answer('n2')).toBe(one);
    expect(answer('both')).not.toBe(both);
    expect(answer('both')).toHaveLength((3 * both.length) / 2);
    hidden.add('h2');
    expect(answer('n2')).toBe(one);
    expect(zones.get('w')!.names.get('n3')!.kind).toBe('hidden');
    remove('w', '10.0.1.3');
    expect(answer('n2')).toBe(one);
    expect(zones.get('w')!.names.has('n3')).toBe(false);
    restart();
    expect(answer('n2')).toBe(one);
    whole('w');
    expect(answer('n2')).toBe(one);
  });

  it('answers who is well where several go by a name, who is unwell at his own, and all where nobody is well', () => {
    const { zones, put, tell, restart } = setUp();
    const at = (name: string) => {
      tell('w');
      return [...zones.get('w')!.names.get(name)!.addresses].sort();
    };
    put(endpoint(2, { aliases: ['both'] }));
    put(endpoint(3, { aliases: ['both'], nodeId: 'h2' }));
    expect(at('both')).toEqual(['10.0.1.2', '10.0.1.3']);
    put(endpoint(3, { aliases: ['both'], nodeId: 'h2', health: 'unhealthy' }));
    expect([at('both'), at('n3')]).toEqual([['10.0.1.2'], ['10.0.1.3']]);
    restart();
    expect(at('both')).toEqual(['10.0.1.2']);
    put(endpoint(2, { aliases: ['both'], health: 'unhealthy' }));
    expect(at('both')).toEqual(['10.0.1.2', '10.0.1.3']);
    put(endpoint(3, { aliases: ['both'], nodeId: 'h2' }));
    expect(at('both')).toEqual(['10.0.1.3']);
  });

  it('has all addresses of an endpoint at its names, and its name at each of them', () => {
    const { zones, put, unreached, tell } = setUp();
    const addresses = ['10.0.1.2', '10.0.1.102'].map((ip) => ({ subnet: WIDE, ip }));
    put(endpoint(2, { addresses }));
    tell('w');
    const zone = () => zones.get('w')!;
    const at = (name: string) => {
      const named = zone().names.get(name);
      return named?.kind === 'resolves' ? [...named.addresses].sort() : named?.kind;
    };
    expect(at('n2')).toEqual(['10.0.1.102', '10.0.1.2']);
    expect([...zone().pointers.values()].map(({ name }) => name)).toEqual(['n2', 'n2']);
    unreached.add('10.0.1.102');
    tell('w');
    expect(at('n2')).toEqual(['10.0.1.2']);
    put(endpoint(2, { addresses: addresses.slice(1) }));
    tell('w');
    expect(at('n2')).toBe('hidden');
  });

  it('is told of what changed alone', () => {
    const { put, hidden, tell } = setUp();
    for (let host = 2; host < 250; host++) put(endpoint(host, host > 200 ? { nodeId: 'h2' } : {}));
    expect(tell('w')).toMatchObject([{ kind: 'zone', set: { length: 248 } }]);
    expect(tell('w')).toEqual([]);
    put(endpoint(7, { name: 'other' }));
    expect(tell('w')).toMatchObject([{ set: [{ name: 'other', address: '10.0.1.7' }], removed: [] }]);
    hidden.add('h2');
    expect(tell('w')).toMatchObject([{ set: { length: 49 } }]);
  });
});

describe('a network that is told of ahead of its ways', () => {
  it('is answered from when they are there, and not told of again', () => {
    const { put, tell, tellAhead, unreached, zones } = setUp();
    for (const host of [2, 3]) put(endpoint(host));
    unreached.add('10.0.1.2').add('10.0.1.3');
    expect(tellAhead('w')).toMatchObject([{ set: { length: 2 }, ahead: true }]);
    expect(tellAhead('w')).toEqual([]);
    expect(zones.get('w')).toBeUndefined();
    const successor = new Zones();
    takeNews(successor, [...zones.tell(1)]);
    expect(successor.get('w')).toBeUndefined();
    unreached.clear();
    expect(tell('w')).toMatchObject([{ set: [], removed: [] }]);
    expect([...zones.get('w')!.pointers.keys()]).toEqual(['10.0.1.2', '10.0.1.3']);
  });

  it('is looked at once where there are ways to all, until something is another', () => {
    const { hidden, put, tell, tellAhead, sources, zones } = setUp();
    for (const host of [2, 3]) put(endpoint(host));
    tellAhead('w');
    expect(tell('w')).toMatchObject([{ set: [], removed: [] }]);
    expect(tell('w')).toEqual([]);
    put(endpoint(4));
    expect(tell('w')).toMatchObject([{ set: [{ address: '10.0.1.4' }] }]);
    hidden.add('h1');
    expect(tell('w')).toMatchObject([{ set: { length: 3 } }]);
    expect(sources.reaches).not.toHaveBeenCalled();
    expect(zones.get('w')).toEqual(buildZone(sources, 'w', TTL));
  });

  it('is looked at again where one was passed over and one was kept, as many as there are', () => {
    const { hidden, put, remove, sources } = setUp();
    let isGone = false;
    const changes = new ZoneChanges({ ...sources, isGone: () => isGone });
    for (const host of [3, 4]) put(endpoint(host));
    expect([...changes.take('w', true)]).toMatchObject([{ set: { length: 2 } }]);
    remove('w', '10.0.1.4');
    put(endpoint(2, { nodeId: 'h2' }));
    hidden.add('h2');
    expect([...changes.take('w', false)]).toEqual([]);
    isGone = true;
    expect([...changes.take('w', true)]).toMatchObject([
      { set: [{ address: '10.0.1.2', shown: false }], removed: ['10.0.1.4'] },
    ]);
  });

  it('is answered from only when what has no way after all is known to have none', () => {
    const { put, tell, tellAhead, unreached, zones, sources } = setUp();
    for (let host = 1; host < 255; host++) {
      put(endpoint(host));
      put(endpoint(host, { address: `10.0.2.${host}`, name: `m${host}` }));
      unreached.add(`10.0.2.${host}`);
    }
    tellAhead('w');
    const parts = tell('w');
    expect(parts.map(({ kind, ...part }) => 'ahead' in part)).toEqual([true, false]);
    expect(zones.get('w')).toEqual(buildZone(sources, 'w', TTL));
  });

  it('is told of anew by an agent that does not know of its ways', () => {
    const { put, tell, tellAhead, unreached, restart, zones } = setUp();
    put(endpoint(2));
    put(endpoint(3));
    tellAhead('w');
    restart();
    unreached.add('10.0.1.2');
    tell('w', false);
    expect([...zones.get('w')!.names.keys()]).not.toContain('n2');
    expect([...zones.get('w')!.names.keys()]).toContain('n3');
  });

  it('is answered from as before where it was already', () => {
    const { put, tell, tellAhead, restart, zones } = setUp();
    put(endpoint(2));
    tell('w');
    restart();
    tellAhead('w');
    expect(zones.get('w')!.names.get('n2')!.kind).toBe('resolves');
  });
});

describe('an agent that knows less than one before', () => {
  it('takes nothing away, and what it says is gone when it knows all, is', () => {
    const { zones, put, remove, unreached, tell, whole, restart, sources } = setUp();
    for (const host of [2, 3, 4]) put(endpoint(host));
    tell('w');
    whole('w');
    restart();
    // Of the one it does not know yet, to the other it does not know the way yet.
    remove('w', '10.0.1.2');
    unreached.add('10.0.1.3');
    put(endpoint(5));
    tell('w', false);
    const named = (name: string) => zones.get('w')!.names.get(name)?.kind;
    expect(['n2', 'n3', 'n4', 'n5'].map(named)).toEqual(['resolves', 'resolves', 'resolves', 'resolves']);
    expect(zones.isWhole('w')).toBe(true);
    // What it told itself it may take back.
    remove('w', '10.0.1.5');
    tell('w', false);
    expect(named('n5')).toBeUndefined();
    tell('w', true);
    whole('w');
    expect(['n2', 'n3', 'n4'].map(named)).toEqual([undefined, 'hidden', 'resolves']);
    expect(zones.get('w')).toEqual(buildZone(sources, 'w', TTL));
  });

  it('does not take for gone what merely is not in its view', () => {
    const { sources, put, remove } = setUp();
    const own = (record: EndpointRecord) => record.nodeId === 'h1';
    let proof = false;
    const changes = new ZoneChanges({ ...sources, isGone: (record) => proof || own(record) });
    put(endpoint(2, { nodeId: 'h1' }));
    put(endpoint(3, { nodeId: 'h2' }));
    changes.take('w', true);
    for (const host of [2, 3]) remove('w', `10.0.1.${host}`);
    expect([...changes.take('w', true)]).toMatchObject([{ set: [], removed: ['10.0.1.2'] }]);
    proof = true;
    expect([...changes.take('w', true)]).toMatchObject([{ set: [], removed: ['10.0.1.3'] }]);
  });
});
