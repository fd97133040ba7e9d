import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClusterIndex } from '../../../src/core/cluster-index.ts';
import { type RecordChange, Replica } from '../../../src/core/gossip/replica.ts';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { type EndpointRecord, keys, PREFIX } from '../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../fixtures/records.ts';
import { toldView } from '../../fixtures/told-view.ts';

const NETWORKS = ['n1', 'n2', 'n3'];
const NODES = ['h1', 'h2'];
const IDS = ['e1', 'e2', 'e3'];
const IPS = ['10.0.1.2', '10.0.1.3'];

const of = <T>(values: readonly T[]) => fc.constantFrom(...values);
const record = fc
  .record({
    ...{ networkId: of(NETWORKS), nodeId: of(NODES), id: of(IDS), createdAt: fc.nat(3) },
    ips: fc.subarray(IPS, { minLength: 1 }),
    name: of(['api', 'a "quoted" one']),
  })
  .map(({ ips, ...parts }) =>
    endpointRecord({ ...parts, addresses: ips.map((ip) => ({ subnet: '10.0.1.0/24', ip })) }),
  );
const bad = of(['not json', '{"networkId":"n1","nodeId":5}', '{"networkId":"n2"}']);

/** A value of a key: a record of it, one that cannot be read, none. */
const endpoint = fc.tuple(record, fc.option(bad), fc.integer({ min: 0, max: 3 })).map(([each, text, fate]) => ({
  key: keys.endpoint(each),
  value: fate === 0 ? undefined : (text ?? encodeRecord(each)),
}));
const claim = fc
  .tuple(of(NETWORKS), of(IPS), of(IDS), of(NODES), fc.option(bad), fc.integer({ min: 0, max: 3 }))
  .map(([networkId, ip, endpointId, nodeId, text, fate]) => ({
    key: keys.address(networkId, ip),
    value: fate === 0 ? undefined : (text ?? encodeRecord({ endpointId, nodeId })),
  }));

type Told = { readonly key: string; readonly value: string | undefined };
type Step =
  | { readonly kind: 'etcd' | 'member' | 'list'; readonly told: readonly Told[] }
  | { readonly kind: 'ask' | 'want'; readonly networkId: string }
  | { readonly kind: 'rest' }
  | { readonly kind: 'stall' };

const told = fc.array(fc.oneof(endpoint, claim), { minLength: 1, maxLength: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: of(['etcd', 'member', 'list'] as const), told }) },
  { weight: 3, arbitrary: fc.record({ kind: of(['ask', 'want'] as const), networkId: of(NETWORKS) }) },
  fc.constantFrom<Step>({ kind: 'rest' }, { kind: 'stall' }),
);

/** All that a view says of endpoints and claims; it does not depend on in what order it was told of them. */
function answers(view: ClusterIndex) {
  const sorted = <T>(map: ReadonlyMap<string, T>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const byId = (a: EndpointRecord, b: EndpointRecord) => (keys.endpoint(a) < keys.endpoint(b) ? -1 : 1);
  return {
    networks: NETWORKS.map((id) => ({
      addresses: sorted(view.addresses(id)),
      claims: sorted(view.claims(id)),
      endpoints: [...view.endpointsOn(id)].sort(byId),
    })),
    nodes: NODES.map((nodeId) => ({
      all: sorted(view.endpointsOf(nodeId)),
      each: IDS.map((id) => view.endpoint({ nodeId, id })),
    })),
    unreadable: sorted(view.unreadable),
  };
}

/** Two views of one replica, of which one keeps all networks in step from the start. */
class Pair {
  readonly wanted = new Set<string>();
  readonly replica = new Replica();
  readonly eager = new ClusterIndex(this.replica, () => true);
  readonly lazy = new ClusterIndex(this.replica, (id) => this.wanted.has(id));
  #revision = 0;

  constructor() {
    for (const id of NETWORKS) this.eager.open(id);
  }

  take(step: Step): void {
    if (step.kind === 'ask') this.lazy.addresses(step.networkId);
    else if (step.kind === 'rest') for (let turn = 0; turn < 2; turn++) this.lazy.rest();
    else if (step.kind === 'stall') this.replica.stalled();
    else if (step.kind === 'want') this.#want(step.networkId);
    else if ('told' in step) {
      const changes = this.#merge(step.kind, step.told);
      const [all, some] = [this.eager.apply(changes), this.lazy.apply(changes)];
      expect(some.refused).toEqual(all.refused);
      for (const [id, nodes] of some.endpoints) expect(all.endpoints.get(id)).toEqual(nodes);
    }
  }

  /** Or no longer. */
  #want(networkId: string): void {
    if (!this.wanted.delete(networkId)) this.wanted.add(networkId);
  }

  #merge(kind: 'etcd' | 'member' | 'list', told: readonly Told[]): RecordChange[] {
    this.#revision += 1;
    const revision = this.#revision;
    const records = [...new Map(told.map(({ key, value }) => [key, { key, value, revision }])).values()];
    if (kind === 'etcd') return this.replica.mergeEvents(revision, records);
    if (kind === 'member') return this.replica.hear(records, { from: 'h2', at: 0, judge: () => 'use' }, () => true);
    return this.replica.mergeSnapshot(
      revision,
      records.filter((each) => each.value !== undefined),
    );
  }
}

describe('a view that takes out what is asked for', () => {
  it('answers as one that keeps everything in step', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const pair = new Pair();
        for (const each of steps) pair.take(each);
        expect(answers(pair.lazy)).toEqual(answers(pair.eager));
      }),
      { numRuns: 500 },
    );
  });

  it('tells what changed of networks that are wanted, as one that keeps everything in step', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), told, (steps, last) => {
        const pair = new Pair();
        for (const each of steps) pair.take(each);
        const wanted = [...pair.wanted];
        for (const id of wanted) pair.lazy.addresses(id);
        const changes = pair.replica.mergeEvents(
          1_000,
          last.map((each) => ({ ...each, revision: 1_000 })),
        );
        const [all, some] = [pair.eager.apply(changes), pair.lazy.apply(changes)];
        for (const id of wanted) expect(some.endpoints.get(id)).toEqual(all.endpoints.get(id));
      }),
      { numRuns: 300 },
    );
  });
});

describe('what is held', () => {
  const put = (each: EndpointRecord) => ({ key: keys.endpoint(each), value: encodeRecord(each) });
  const [one, two] = [endpointRecord({ id: 'e1', networkId: 'n1' }), endpointRecord({ id: 'e2', networkId: 'n2' })];

  it('is the same object as long as the network is wanted, and another one after it was let go of', () => {
    const wanted = new Set(['n1']);
    const { view, tell } = toldView((id) => wanted.has(id));
    tell([put(one), put(two)]);
    const held = view.addresses('n1').get('10.0.1.2');
    view.addresses('n2');
    view.rest();
    view.rest();
    tell([put(endpointRecord({ id: 'e3', networkId: 'n1', address: '10.0.1.3' }))]);
    expect(view.addresses('n1').get('10.0.1.2')).toBe(held);
    expect(view.endpoint(one)).toBe(held);
    wanted.clear();
    view.rest();
    expect(view.addresses('n1').get('10.0.1.2')).toBe(held);
    // Somebody has asked since; then nobody.
    view.rest();
    view.rest();
    expect(view.addresses('n1').get('10.0.1.2')).toEqual(held);
    expect(view.addresses('n1').get('10.0.1.2')).not.toBe(held);
  });

  it('is eight networks at a time of those that nobody wants', () => {
    const { view, tell } = toldView(() => false);
    const ids = Array.from({ length: 9 }, (_, nth) => `n${nth}`);
    tell(ids.map((networkId) => put(endpointRecord({ id: `e-${networkId}`, networkId }))));
    const held = ids.map((id) => view.addresses(id).get('10.0.1.2')!);
    const again = held.map((record) => view.endpoint(record));
    expect(again).toEqual(held);
    expect(again.map((record, nth) => record === held[nth])).toEqual([false, ...Array(8).fill(true)]);
  });

  it('is a network of more than a thousand addresses, before anybody asks, and as long as it has so many', () => {
    const { view, tell } = toldView(() => false);
    const address = (nth: number) => `10.0.${nth >> 8}.${nth & 255}`;
    const claim = (nth: number, value: string | undefined = encodeRecord({ endpointId: `e${nth}`, nodeId: 'h1' })) => ({
      key: keys.address('n1', address(nth)),
      value,
    });
    tell([{ key: keys.network('n1'), value: encodeRecord(networkRecord()) }, put(one)]);
    tell(Array.from({ length: 1_000 }, (_, nth) => claim(nth)));
    const touched = (name: string) =>
      tell([put(endpointRecord({ id: 'e1', networkId: 'n1', name }))]).endpoints.has('n1');
    view.rest();
    expect(touched('a')).toBe(false);
    tell([claim(1_000)]);
    view.rest();
    view.rest();
    expect(touched('b')).toBe(true);
    tell([{ key: keys.address('n1', address(1_000)), value: undefined }]);
    view.rest();
    view.rest();
    expect(touched('c')).toBe(false);
  });

  it('is nothing that changes cost where nobody has asked', () => {
    const { view, tell } = toldView(() => false);
    expect(tell([put(one), put(two)]).endpoints).toEqual(new Map());
    expect(view.endpointCount()).toBe(2);
    expect(view.endpointCount('h1')).toBe(2);
    expect(tell([{ key: `${PREFIX}endpoints/h1/e1`, value: undefined }]).endpoints).toEqual(new Map());
    expect(view.endpointCount()).toBe(1);
  });
});
