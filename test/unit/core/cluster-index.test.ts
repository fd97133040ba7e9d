import { describe, expect, it } from 'vitest';
import { ClusterIndex } from '../../../src/core/cluster-index.ts';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { keys, type NetworkRecord } from '../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../fixtures/records.ts';

const network = (id: string, name: string, state: NetworkRecord['state'] = 'active') =>
  networkRecord({ id, name, state });
const endpoint = (id: string, address: string) => endpointRecord({ id, address });

const put = (key: string, record: object) => ({ key, value: encodeRecord(record) });
const gone = (key: string) => ({ key, value: undefined });
const index = () => new ClusterIndex({ whole: true, behind: false, complete: 7 });

describe('the view', () => {
  it('finds networks by id and name, and gives a name back when its network is being deleted', () => {
    const view = index();
    view.apply([put(keys.network('n1'), network('n1', 'web'))]);
    expect(view.networkByName('web')?.id).toBe('n1');
    view.apply([put(keys.network('n1'), network('n1', 'web', 'deleting'))]);
    expect(view.networkByName('web')).toBeUndefined();
    view.apply([put(keys.network('n2'), network('n2', 'web'))]);
    view.apply([gone(keys.network('n1'))]);
    expect(view.networkByName('web')?.id).toBe('n2');
    expect([...view.networks()].map(({ id }) => id)).toEqual(['n2']);
  });

  it('knows an address by its present endpoint only', () => {
    const view = index();
    view.apply([put(keys.endpoint('n1', '10.0.1.2'), endpoint('e1', '10.0.1.2'))]);
    view.apply([put(keys.endpoint('n1', '10.0.1.2'), endpoint('e2', '10.0.1.2'))]);
    expect(view.endpoint('e1')).toBeUndefined();
    expect(view.endpoints('n1').get('10.0.1.2')?.id).toBe('e2');
    const touched = view.apply([gone(keys.endpoint('n1', '10.0.1.2'))]);
    expect(touched.endpoints).toEqual(new Map([['n1', new Set(['h1'])]]));
    expect(touched.networks).toEqual(new Set());
    expect(view.endpoints('n1').size).toBe(0);
    expect(view.endpoint('e2')).toBeUndefined();
  });

  it('ignores a value that is not a record of its kind, and says which', () => {
    const view = index();
    const touched = view.apply([
      { key: keys.endpoint('n1', '10.0.1.3'), value: '{"id": 5}' },
      { key: keys.network('n1'), value: 'not json' },
      put(keys.endpoint('n1', '10.0.1.2'), endpoint('e1', '10.0.1.2')),
    ]);
    expect(touched.refused).toEqual([keys.endpoint('n1', '10.0.1.3'), keys.network('n1')]);
    expect([...view.endpoints('n1').keys()]).toEqual(['10.0.1.2']);
  });

  it('does not take a value that it cannot read for a deletion', () => {
    const view = index();
    view.apply([put(keys.network('n1'), network('n1', 'web'))]);
    const touched = view.apply([{ key: keys.network('n1'), value: '{"state":"paused"}' }]);
    expect(touched.refused).toEqual([keys.network('n1')]);
    expect(view.networkByName('web')?.id).toBe('n1');
  });

  it('is not disturbed by keys it has no use for', () => {
    expect(index().apply([{ key: '/overlayd/v1/vnis/4096', value: '{}' }]).refused).toEqual([]);
    expect(index().apply([{ key: '/elsewhere', value: '{}' }]).refused).toEqual([]);
  });
});
