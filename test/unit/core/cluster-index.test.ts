import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { keys, type NetworkRecord } from '../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../fixtures/records.ts';
import { toldView } from '../../fixtures/told-view.ts';

const network = (id: string, name: string, state: NetworkRecord['state'] = 'active') =>
  networkRecord({ id, name, state });
const endpoint = (id: string, address: string) => endpointRecord({ id, address });

const put = (key: string, record: object) => ({ key, value: encodeRecord(record) });
const gone = (key: string) => ({ key, value: undefined });

const CLUSTER = { id: 'c', caCertificate: 'PEM', pools: [], vniRange: [4096, 5000], createdAt: 1 };

describe('the view', () => {
  it('finds networks by id and name, and gives a name back when its network is being deleted', () => {
    const { view, tell } = toldView();
    tell([put(keys.network('n1'), network('n1', 'web'))]);
    expect(view.networkByName('web')?.id).toBe('n1');
    tell([put(keys.network('n1'), network('n1', 'web', 'deleting'))]);
    expect(view.networkByName('web')).toBeUndefined();
    tell([put(keys.network('n2'), network('n2', 'web'))]);
    tell([gone(keys.network('n1'))]);
    expect(view.networkByName('web')?.id).toBe('n2');
    expect([...view.networks()].map(({ id }) => id)).toEqual(['n2']);
  });

  it('shows an endpoint at its addresses as long as its record is there', () => {
    const { view, tell } = toldView();
    const [record] = [endpoint('e1', '10.0.1.2')];
    tell([put(keys.endpoint(record!), record!)]);
    expect(view.addresses('n1').get('10.0.1.2')).toEqual(record);
    expect([...view.endpointsOn('n1')]).toEqual([record]);
    expect([...view.endpointsOf('h1').keys()]).toEqual(['e1']);
    const touched = tell([gone(keys.endpoint(record!))]);
    expect(touched.endpoints).toEqual(new Map([['n1', new Set(['h1'])]]));
    expect(touched.networks).toEqual(new Set());
    expect(view.addresses('n1').size).toBe(0);
    expect(view.endpoint(record!)).toBeUndefined();
  });

  it('lists an endpoint of several addresses once', () => {
    const { view, tell } = toldView();
    const two = ['10.0.1.2', '10.0.2.2'].map((ip) => ({ subnet: `${ip.slice(0, 6)}.0/24`, ip }));
    const record = endpointRecord({ id: 'e1', addresses: two });
    tell([put(keys.endpoint(record), record)]);
    expect([...view.addresses('n1').keys()]).toEqual(['10.0.1.2', '10.0.2.2']);
    expect([...view.endpointsOn('n1')]).toEqual([record]);
    // The claim of the first is another's: it is at the second alone, and still listed.
    tell([put(keys.address('n1', '10.0.1.2'), { endpointId: 'other', nodeId: 'h2' })]);
    expect([...view.addresses('n1').keys()]).toEqual(['10.0.2.2']);
    expect([...view.endpointsOn('n1')]).toEqual([record]);
  });

  it('of two records of one address shows the one that the claim names, in whatever order all of it is told', () => {
    const own = endpointRecord({ id: 'e1', nodeId: 'h1', createdAt: 5 });
    const other = endpointRecord({ id: 'e2', nodeId: 'h2', createdAt: 3 });
    const claim = put(keys.address('n1', '10.0.1.2'), { endpointId: 'e1', nodeId: 'h1' });
    const all = [put(keys.endpoint(own), own), put(keys.endpoint(other), other), claim];
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: 3 }), (changes) => {
        const { view, tell } = toldView();
        for (const change of changes) tell([change]);
        expect(view.addresses('n1').get('10.0.1.2')?.id).toBe('e1');
        // Without a claim the oldest, on every host.
        const touched = tell([gone(claim.key)]);
        expect(view.addresses('n1').get('10.0.1.2')?.id).toBe('e2');
        expect(touched.endpoints).toEqual(new Map([['n1', new Set(['h1', 'h2'])]]));
        tell([gone(keys.endpoint(other))]);
        expect(view.addresses('n1').get('10.0.1.2')?.id).toBe('e1');
      }),
    );
  });

  it('shows nobody at an address whose claim has no record', () => {
    const { view, tell } = toldView();
    const record = endpoint('e1', '10.0.1.2');
    tell([put(keys.endpoint(record), record)]);
    tell([put(keys.address('n1', '10.0.1.2'), { endpointId: 'e1', nodeId: 'h2' })]);
    expect(view.addresses('n1').size).toBe(0);
    expect(view.claims('n1').get('10.0.1.2')).toEqual({ endpointId: 'e1', nodeId: 'h2' });
  });

  it('ignores a value that is not a record of its kind, or of its key, and says which', () => {
    const { view, tell } = toldView();
    const [bad, foreign, good] = ['e1', 'e2', 'e3'].map((id, i) => endpoint(id, `10.0.1.${i + 2}`));
    const touched = tell([
      { key: keys.endpoint(bad!), value: '{"id": 5}' },
      put(keys.endpoint(foreign!), { ...foreign, nodeId: 'h2' }),
      { key: keys.network('n1'), value: 'not json' },
      put(keys.endpoint(good!), good!),
    ]);
    expect(touched.refused).toEqual([keys.endpoint(bad!), keys.endpoint(foreign!), keys.network('n1')]);
    expect([...view.addresses('n1').keys()]).toEqual(['10.0.1.4']);
  });

  it('does not take a value that it cannot read for a deletion', () => {
    const { view, tell } = toldView();
    tell([put(keys.network('n1'), network('n1', 'web'))]);
    const touched = tell([{ key: keys.network('n1'), value: '{"state":"paused"}' }]);
    expect(touched.refused).toEqual([keys.network('n1')]);
    expect(view.networkByName('web')?.id).toBe('n1');
  });

  it('keeps the level of a cluster whose record says nothing that it can read', () => {
    const { view, tell } = toldView();
    tell([put(keys.cluster, { ...CLUSTER, level: 3 })]);
    tell([{ key: keys.cluster, value: 'not json' }]);
    expect(view.level).toBe(3);
    tell([{ key: keys.cluster, value: '{"level":4}' }]);
    expect(view.level).toBe(4);
    tell([put(keys.cluster, CLUSTER)]);
    expect(view.level).toBeUndefined();
    tell([gone(keys.cluster)]);
    expect(view.level).toBeUndefined();
  });

  it('has who keeps the store, and what is changed about that', () => {
    const { view, tell } = toldView();
    const change = { kind: 'add', nodeId: 'h2', why: 'of many', by: 'h1', startedAt: 1 } as const;
    expect(tell([put(keys.storeKeepers, { nodeIds: ['h1'] }), put(keys.storeChange, change)]).nodes).toBe(true);
    expect([view.keepers(), view.storeChange()]).toEqual([['h1'], change]);
    expect(tell([put(keys.storeChange, { ...change, kind: 'swap' })]).refused).toEqual([keys.storeChange]);
    expect(view.storeChange()).toEqual(change);
    tell([gone(keys.storeChange), gone(keys.storeKeepers)]);
    expect([view.keepers(), view.storeChange()]).toEqual([undefined, undefined]);
  });

  it('is not disturbed by keys it has no use for', () => {
    expect(toldView().tell([{ key: '/overlayd/v2/vnis/4096', value: '{}' }]).refused).toEqual([]);
    expect(toldView().tell([{ key: '/elsewhere', value: '{}' }]).refused).toEqual([]);
  });
});
