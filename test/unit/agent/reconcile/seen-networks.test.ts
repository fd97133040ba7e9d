import { describe, expect, it } from 'vitest';
import { SeenNetworks } from '../../../../src/agent/reconcile/seen-networks.ts';
import type {
  DesiredNetwork,
  DesiredPort,
  Link,
  NamespaceState,
  Neighbour,
  Observed,
  Op,
  OpFailure,
  Plan,
} from '../../../../src/core/host-state.ts';
import type { RowEvent } from '../../../../src/core/kernel-change.ts';
import { neighbourRows } from '../../../../src/core/row-table.ts';

const AT = 'ovl-1';
const neighboursOf = (state: NamespaceState | undefined) => state && neighbourRows(state.neighbours);
const before: Neighbour = { link: 'vx0', address: '10.0.0.5', mac: '02:42:0a:00:00:05' };
const after: Neighbour = { link: 'vx0', address: '10.0.0.6', mac: '02:42:0a:00:00:06' };
const state = { links: new Map(), neighbours: [before], fdb: [] } as unknown as NamespaceState;
const scope = { host: false, networks: [AT], containers: [], ports: [] };
const observed: Observed = {
  namespaces: undefined,
  host: undefined,
  networks: new Map([[AT, state]]),
  containers: new Map(),
};
const nothing: Plan = { stages: [], gone: [] };

const planOf = (...ops: readonly Op[]): Plan => ({
  stages: [
    { essential: false, ops: ops.map((op) => ({ op, reason: 'update', network: AT, endpointId: undefined }) as const) },
  ],
  gone: [],
  outcomes: new Map([[AT, { ...state, neighbours: [after] }]]),
});
const oneRow = planOf({ kind: 'set-neighbour', at: AT, neighbour: after });
const known = (seen: SeenNetworks) => seen.recall(scope).known.get(AT);

describe('what a quiet pass saw', () => {
  it('saves the next observation', () => {
    const seen = new SeenNetworks();
    seen.settle(observed, nothing, seen.recall(scope).moment);
    const { known, rest } = seen.recall(scope);
    expect([...known.keys()]).toEqual([AT]);
    expect(rest.networks).toEqual([]);
  });

  it.each([
    ['an event of the network', (seen: SeenNetworks) => seen.stir(AT)],
    ['the finding of an audit', (seen: SeenNetworks) => seen.forget(AT)],
    ['lost events', (seen: SeenNetworks) => seen.forgetAll()],
  ])('is not kept when %s came while it looked', (_, happen) => {
    const seen = new SeenNetworks();
    const { moment } = seen.recall(scope);
    happen(seen);
    seen.settle(observed, nothing, moment);
    expect(known(seen)).toBe(undefined);
  });

  it('ends with an event', () => {
    const seen = new SeenNetworks();
    seen.settle(observed, nothing, seen.recall(scope).moment);
    seen.stir(AT);
    expect(known(seen)).toBe(undefined);
  });
});

const told = (what: RowEvent['what'], row: Neighbour): RowEvent => ({
  ...{ what, index: 1, vtep: undefined, port: undefined },
  ...row,
});

describe('an event of a row', () => {
  it('agrees with what is known, or puts it right', () => {
    const seen = new SeenNetworks();
    expect(seen.correct(AT, [told('written', before)])).toBe('unknown');
    seen.settle(observed, nothing, seen.recall(scope).moment);
    expect(seen.correct(AT, [told('written', before)])).toBe('agrees');
    expect(known(seen)).toBe(state);
    expect(seen.correct(AT, [told('gone', before)])).toBe('corrected');
    expect(neighboursOf(known(seen))).toEqual([]);
  });

  it('is not undone by a pass that had begun before it', () => {
    const seen = new SeenNetworks();
    seen.settle(observed, nothing, seen.recall(scope).moment);
    const { moment } = seen.recall(scope);
    seen.correct(AT, [told('gone', before)]);
    seen.settle(observed, nothing, moment);
    expect(known(seen)).toBe(undefined);
  });
});

describe('a row that becomes the kernel’s own while a pass looks', () => {
  it('has another look made, where the pass saw it as somebody’s', () => {
    const seen = new SeenNetworks();
    const { moment } = seen.recall(scope);
    seen.miss(AT, [told('unwritten', before)]);
    expect(seen.settle(observed, nothing, moment)).toEqual([AT]);
    expect(known(seen)).toBe(undefined);
    // Which sees it as it is.
    const without = { ...observed, networks: new Map([[AT, { ...state, neighbours: [] }]]) };
    expect(seen.settle(without, nothing, seen.recall(scope).moment)).toEqual([]);
    expect(neighboursOf(known(seen))).toEqual([]);
  });

  it('has one made after a pass that wrote something else, too', () => {
    const seen = new SeenNetworks();
    const { moment } = seen.recall(scope);
    seen.miss(AT, [told('unwritten', before)]);
    expect(seen.settle(observed, oneRow, moment)).toEqual([AT]);
    expect(known(seen)).toBe(undefined);
  });

  it('is no reason where it was nobody’s, or had been told before the pass', () => {
    const seen = new SeenNetworks();
    seen.miss(AT, [told('unwritten', before)]);
    const { moment } = seen.recall(scope);
    seen.miss(AT, [told('unwritten', after)]);
    expect(seen.settle(observed, nothing, moment)).toEqual([]);
    expect(known(seen)).toBe(state);
  });

  it('has one made where there are too many of them to tell', () => {
    const seen = new SeenNetworks();
    const { moment } = seen.recall(scope);
    for (let nth = 0; nth < 257; nth++) seen.miss(AT, [told('unwritten', after)]);
    expect(seen.settle(observed, nothing, moment)).toEqual([AT]);
  });
});

describe('what a pass wrote', () => {
  it('is known, events of the writing or not, until somebody looks', () => {
    const seen = new SeenNetworks();
    const { moment } = seen.recall(scope);
    seen.stir(AT);
    seen.settle(observed, oneRow, moment);
    expect(neighboursOf(known(seen))).toEqual([after]);
    seen.stir(AT);
    expect(neighboursOf(known(seen))).toEqual([after]);
    seen.forget(AT);
    expect(known(seen)).toBe(undefined);
    // A look that finds nothing to do is as good as any other.
    seen.settle(observed, nothing, seen.recall(scope).moment);
    seen.stir(AT);
    expect(known(seen)).toBe(undefined);
  });

  it.each<[string, Plan, readonly OpFailure[]]>([
    ['not all was taken', oneRow, [{ planned: oneRow.stages[0]!.ops[0]!, error: new Error('refused') }]],
    ['something else may be left', { stages: oneRow.stages, gone: [] }, []],
  ])('is looked at when %s', (_, planned, failures) => {
    const seen = new SeenNetworks();
    seen.settle(observed, planned, seen.recall(scope).moment, failures);
    expect(known(seen)).toBe(undefined);
  });

  it('is looked at when events were lost', () => {
    const seen = new SeenNetworks();
    const { moment } = seen.recall(scope);
    seen.forgetAll();
    seen.settle(observed, oneRow, moment);
    expect(known(seen)).toBe(undefined);
  });

  it('is known of a namespace that was not there before', () => {
    const seen = new SeenNetworks();
    seen.settle({ ...observed, networks: new Map() }, oneRow, seen.recall(scope).moment);
    expect(neighboursOf(known(seen))).toEqual([after]);
  });
});

describe('a port that is not in what is known', () => {
  const container = { text: 'netns:c1', path: '/run/netns/c1', identity: 'c1' };
  const port = { link: 'e1', endpoint: { container } } as DesiredPort;
  const network = { namespace: AT, ports: [port] } as unknown as DesiredNetwork;
  const veth: Link = { name: 'e1', kind: 'veth', mac: '02:42:0a:00:01:02', mtu: 1450, up: true };

  it('has its container looked into', () => {
    const seen = new SeenNetworks();
    expect(seen.unseenPorts(network)).toEqual([{ namespace: AT, link: 'e1', container }]);
    seen.settle(observed, nothing, seen.recall(scope).moment);
    expect(seen.unseenPorts(network)).toEqual([{ namespace: AT, link: 'e1', container }]);
    const there = { ...state, links: new Map([['e1', veth]]) };
    seen.settle({ ...observed, networks: new Map([[AT, there]]) }, nothing, seen.recall(scope).moment);
    expect(seen.unseenPorts(network)).toEqual([]);
  });
});

it('is known as the plan has it that found nothing to be done', () => {
  const seen = new SeenNetworks();
  const compared = { ...state };
  const planned = { ...nothing, settled: new Map([[AT, compared]]) };
  seen.settle(observed, planned, seen.recall(scope).moment);
  expect(known(seen)).toBe(compared);
  const { moment } = seen.recall(scope);
  seen.stir(AT);
  seen.settle(observed, planned, moment);
  expect(known(seen)).toBe(undefined);
});
