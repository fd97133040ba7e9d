/** What is made of the kernel's events in the moment in which the agent itself writes. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KernelEvents } from '../../../../src/agent/reconcile/kernel-events.ts';
import { SeenNetworks } from '../../../../src/agent/reconcile/seen-networks.ts';
import type { NamespaceState, Neighbour, Observed } from '../../../../src/core/host-state.ts';
import type { KernelChange, RowEvent } from '../../../../src/core/kernel-change.ts';
import { neighbourRows } from '../../../../src/core/row-table.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const AT = 'ovl-1';
const ours: Neighbour = { link: 'vx0', address: '10.0.0.5', mac: '02:42:0a:00:00:05' };
const state = { links: new Map(), neighbours: [ours], fdb: [] } as unknown as NamespaceState;
const told = (what: RowEvent['what'], echo?: true): KernelChange => ({
  kind: 'network',
  namespace: AT,
  rows: [{ what, index: 1, vtep: undefined, port: undefined, ...ours }],
  ...(echo && { echo }),
});

let kernel: FakeKernel;
let clock: VirtualClock;
let seen: SeenNetworks;
let events: KernelEvents;
let marks: number[];
let doubts: string[];
let quit: AbortController;
let ended: Promise<void>;

beforeEach(async () => {
  kernel = new FakeKernel();
  clock = new VirtualClock();
  seen = new SeenNetworks();
  [marks, doubts] = [[], []];
  quit = new AbortController();
  events = new KernelEvents({
    ...{ kernel, clock, seen, idOf: () => 'web', namespaceOf: () => AT },
    doubt(path = 'all') {
      doubts.push(path);
      return ['web'];
    },
    onMarks: () => marks.push(clock.elapsed()),
  });
  ended = events.listen(quit.signal);
  await clock.advance(1_000);
  const observed: Observed = { namespaces: undefined, host: undefined, networks: new Map(), containers: new Map() };
  const { moment } = seen.recall({ host: false, networks: [AT], containers: [], ports: [] });
  seen.settle({ ...observed, networks: new Map([[AT, state]]) }, { stages: [], gone: [] }, moment);
  marks.length = 0;
});

afterEach(async () => {
  quit.abort();
  await ended;
});

const known = () => seen.recall({ host: false, networks: [AT], containers: [], ports: [] }).known.get(AT);

describe('a row that somebody changes right after we wrote it', () => {
  it('is known as it is then, not as we wrote it', async () => {
    kernel.tell(told('written', true));
    await clock.advance(1);
    kernel.tell(told('gone'));
    await clock.advance(1_000);
    expect(neighbourRows(known()?.neighbours ?? [])).toEqual([]);
    expect(marks).not.toEqual([]);
  });

  it('is as we took it away when somebody writes it again', async () => {
    seen.correct(AT, [{ what: 'gone', index: 1, vtep: undefined, port: undefined, ...ours }]);
    kernel.tell(told('gone', true));
    await clock.advance(1);
    kernel.tell(told('written'));
    await clock.advance(1_000);
    expect(neighbourRows(known()?.neighbours ?? [ours])).toEqual([ours]);
    expect(marks).not.toEqual([]);
  });
});

it('the echo of what is written is looked at a moment after its end, however long it takes', async () => {
  const written = events.writing();
  kernel.tell({ kind: 'network', namespace: AT, echo: true });
  await clock.advance(500);
  expect(marks).toEqual([]);
  written();
  const end = clock.elapsed();
  await clock.advance(1_000);
  expect(marks).toHaveLength(1);
  expect(marks[0]! - end).toBeGreaterThanOrEqual(50);
  expect(marks[0]! - end).toBeLessThan(120);
});

it('the echo of what is written is not looked at along with what another does inside of a container', async () => {
  const written = events.writing();
  kernel.tell({ kind: 'network', namespace: AT, echo: true });
  kernel.tell({ kind: 'container', path: '/run/netns/c1' });
  await clock.advance(40);
  expect(doubts).toEqual(['/run/netns/c1']);
  expect(marks).toHaveLength(1);
  written();
  await clock.advance(1_000);
  expect(marks).toHaveLength(2);
});

it('echoes are looked at within a second, though something be written all the time', async () => {
  events.writing();
  kernel.tell({ kind: 'network', namespace: AT, echo: true });
  const begin = clock.elapsed();
  await clock.advance(2_000);
  expect(marks).toHaveLength(1);
  expect(marks[0]! - begin).toBeLessThanOrEqual(1_050);
});

it('echoes within a long writing are not held against what was known before it', async () => {
  events.writing();
  // We took the row away, and somebody has put it back.
  kernel.tell(told('gone', true));
  kernel.tell(told('written', true));
  await clock.advance(2_000);
  expect(marks).toHaveLength(1);
  expect(known()).toBeUndefined();
});

it('losses that follow each other have everything looked at for a sixth of the time at most', async () => {
  Object.assign(events, { lookMs: 2, looksAtAll: 10 });
  for (let ms = 0; ms < 1_000; ms += 2) {
    kernel.tell({ kind: 'all' });
    await clock.advance(2);
  }
  expect(marks.length).toBeGreaterThan(3);
  expect(marks.length).toBeLessThan(1_000 / 120 + 2);
});

describe('inside of a container', () => {
  it('what happens while we write there is looked at', async () => {
    kernel.tell({ kind: 'container', path: '/run/netns/c1', echo: true });
    await clock.advance(1_000);
    expect(doubts).toEqual(['/run/netns/c1']);
    expect(marks).toHaveLength(1);
  });

  it('whatever somebody changes all the time is looked at for a sixth of the time at most', async () => {
    events.lookMs = 10;
    for (let ms = 0; ms < 1_000; ms += 2) {
      kernel.tell({ kind: 'container', path: '/run/netns/c1' });
      await clock.advance(2);
    }
    expect(marks.length).toBeGreaterThan(5);
    expect(marks.length).toBeLessThan(1_000 / 60 + 2);
  });
});
