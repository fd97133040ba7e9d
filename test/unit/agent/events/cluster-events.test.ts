import { expect, test } from 'vitest';
import { ClusterEvents, type EventHost } from '../../../../src/agent/events/cluster-events.ts';
import { EventLog } from '../../../../src/agent/events/event-log.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { EventHistory } from '../../../../src/core/events/event-history.ts';
import type { Told } from '../../../../src/core/events/told.ts';
import type { EventQuery } from '../../../../src/ports/members.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { recordingLogger } from '../cluster/cluster-fixture.ts';

const QUERY: EventQuery = {
  ...{ sinceMs: 0, untilMs: 0, types: [], nodes: [], networks: [] },
  ...{ after: 0, limit: 100, follow: false },
};
const nothing = { load: async () => [], append: async () => {}, replace: async () => {}, remove: async () => {} };

function open(...names: readonly string[]) {
  const clock = new VirtualClock();
  const logOf = () => new EventLog({ file: nothing, clock, logger: recordingLogger([]) }, new EventHistory());
  const logs = new Map(names.map((name) => [name, logOf()]));
  const [self] = names as [string, ...string[]];
  const own = { id: `id-${self}`, name: self };
  /** What becomes of asking that host. */
  const trouble = new Map<string, 'down' | 'mute'>();
  const streams = new Map(names.map((name): [string, AbortController[]] => [name, []]));
  const lose = (name: string) => {
    trouble.set(name, 'down');
    for (const stream of streams.get(name)!) stream.abort();
  };
  /** With how many it is being connected at a time, and how long that takes. */
  const busy = { now: 0, most: 0, ms: 0 };
  const hosts: EventHost[] = names.slice(1).map((name) => ({ id: `id-${name}`, name, address: `${name}:7946` }));
  const events = new ClusterEvents({
    ...{ own: logs.get(self)!, clock, self: () => ({ ...own }), others: () => hosts },
    transport: () => ({
      drift: () => Promise.reject(new Error('nobody asks for drift')),
      look: () => Promise.reject(new Error('nobody asks what is seen')),
      async *events({ address }, query, signal) {
        const name = address.split(':')[0]!;
        busy.most = Math.max(busy.most, ++busy.now);
        if (busy.ms > 0) await clock.sleep(busy.ms);
        busy.now--;
        if (trouble.get(name) === 'down') throw new OverlaydError('peer-unreachable', 'no route to it');
        if (trouble.get(name) === 'mute') return void (await clock.sleep(1e9, signal).catch(() => undefined));
        const ended = new AbortController();
        streams.get(name)?.push(ended);
        yield* logs.get(name)!.tell(query, () => [name], AbortSignal.any([signal, ended.signal]));
        if (ended.signal.aborted) throw new OverlaydError('peer-unreachable', 'the connection is gone');
      },
    }),
  });
  const note = (host: string, network: string) =>
    logs.get(host)!.record('info', 'network-created', { network }, 'created');
  return { clock, events, note, trouble, lose, hosts, own, busy };
}

const shown = ({ events }: Told) => events.map(({ host, event }) => `${host.name} ${event.fields.network}`);

async function once(events: ClusterEvents, query: Partial<EventQuery> = {}, local = false): Promise<Told> {
  const { value } = await events.tell({ ...QUERY, ...query }, { local }, new AbortController().signal).next();
  return value!;
}

/** What is heard from now on. */
function follow(events: ClusterEvents, clock: VirtualClock, query: Partial<EventQuery> = {}) {
  const stop = new AbortController();
  const heard: Told[] = [];
  const following = (async () => {
    const told = events.tell({ ...QUERY, ...query, follow: true }, { local: false }, stop.signal);
    for await (const each of told) heard.push(each);
  })();
  const end = async () => {
    stop.abort();
    await clock.advance(10_000);
    await following;
  };
  return { heard, end };
}

test('events of all hosts come in the order of time', async () => {
  const { clock, events, note } = open('h1', 'h2', 'h3');
  for (const [nth, host] of ['h3', 'h1', 'h2', 'h1'].entries()) {
    note(host, `n${nth}`);
    await clock.advance(10);
  }
  expect(shown(await once(events))).toEqual(['h3 n0', 'h1 n1', 'h2 n2', 'h1 n3']);
  expect(shown(await once(events, { nodes: ['h2'] }))).toEqual(['h2 n2']);
  expect(shown(await once(events, {}, true))).toEqual(['h1 n1', 'h1 n3']);
});

test('a host that is away, and one that says nothing, are named and cost five seconds at most', async () => {
  const { clock, events, note, trouble, hosts } = open('h1', 'h2', 'h3', 'h4');
  note('h1', 'web');
  trouble.set('h2', 'down').set('h3', 'mute');
  hosts[2] = { ...hosts[2]!, address: undefined };
  const asked = once(events);
  await clock.advance(5_000);
  const { away, ...told } = await asked;
  expect(shown({ ...told, away })).toEqual(['h1 web']);
  expect([...away].sort((a, b) => (a.host < b.host ? -1 : 1))).toEqual([
    { host: 'h2', reason: 'no route to it' },
    { host: 'h3', reason: 'it did not answer in time' },
    { host: 'h4', reason: 'there is no way to it yet' },
  ]);
});

test('whoever follows hears each event once, of a host that was away from where it was', async () => {
  const { clock, events, note, trouble, lose } = open('h1', 'h2');
  note('h2', 'before');
  const stop = new AbortController();
  const heard: string[] = [];
  const away: string[] = [];
  const following = (async () => {
    for await (const told of events.tell({ ...QUERY, follow: true }, { local: false }, stop.signal)) {
      heard.push(...shown(told));
      away.push(...told.away.map(({ host }) => host));
    }
  })();
  await clock.advance(1_000);
  note('h1', 'one');
  note('h2', 'two');
  await clock.advance(1_000);
  expect(heard.sort()).toEqual(['h1 one', 'h2 before', 'h2 two']);
  lose('h2');
  await clock.advance(12_000);
  note('h2', 'meanwhile');
  trouble.delete('h2');
  await clock.advance(6_000);
  note('h2', 'after');
  await clock.advance(1_000);
  stop.abort();
  await clock.advance(10_000);
  await following;
  expect([heard.slice(3), away]).toEqual([['h2 meanwhile', 'h2 after'], ['h2']]);
});

test('a host that joins while somebody follows is heard once, by the name that it has then', async () => {
  const { clock, events, note, own } = open('h1');
  Object.assign(own, { id: '', name: '' });
  const { heard, end } = follow(events, clock);
  await clock.advance(1_000);
  note('h1', 'alone');
  await clock.advance(1_000);
  Object.assign(own, { id: 'id-h1', name: 'h1' });
  await clock.advance(6_000);
  note('h1', 'member');
  await clock.advance(6_000);
  await end();
  expect(heard.flatMap(shown)).toEqual([' alone', 'h1 member']);
});

test('the newest of all hosts come in parts, and the others are counted', async () => {
  const { clock, events, note } = open('h1', 'h2');
  for (let nth = 0; nth < 800; nth++) {
    note('h1', `n${nth}`);
    note('h2', `n${nth}`);
    await clock.advance(1);
  }
  const parts: Told[] = [];
  const asked = { ...QUERY, limit: 1_200 };
  for await (const each of events.tell(asked, { local: false }, new AbortController().signal)) parts.push(each);
  expect(parts.map(({ events: of }) => of.length)).toEqual([500, 500, 200]);
  expect(parts.flatMap(shown).sort()).toEqual(
    Array.from({ length: 600 }, (_, nth) => [`h1 n${nth + 200}`, `h2 n${nth + 200}`])
      .flat()
      .sort(),
  );
  expect(parts.map(({ leftOut }) => leftOut)).toEqual([
    ['h1', 'h2'].map((host) => ({ host, type: 'network-created', count: 200 })),
    [],
    [],
  ]);
});

test('what a host leaves out while it is followed is told', async () => {
  const { clock, events, note } = open('h1', 'h2');
  note('h2', 'before');
  const { heard, end } = follow(events, clock);
  await clock.advance(1_000);
  for (let nth = 0; nth < 700; nth++) note('h2', `n${nth}`);
  await clock.advance(1_000);
  await end();
  expect(heard.flatMap(shown)).toHaveLength(501);
  expect(heard.flatMap(({ leftOut }) => leftOut)).toEqual([{ host: 'h2', type: 'network-created', count: 200 }]);
});

test('many hosts are followed, though sixteen are connected to at a time, and some say nothing', async () => {
  const names = Array.from({ length: 60 }, (_, nth) => `h${nth}`);
  const { clock, events, note, trouble, busy } = open(...names);
  busy.ms = 10;
  for (const name of names.slice(1, 21)) trouble.set(name, 'mute');
  const { heard, end } = follow(events, clock);
  // Twenty that say nothing take the time of two answers, in both steps.
  await clock.advance(25_000);
  for (const name of names.slice(21)) note(name, 'web');
  await clock.advance(1_000);
  await end();
  expect(heard.flatMap(shown).sort()).toEqual(
    names
      .slice(21)
      .map((name) => `${name} web`)
      .sort(),
  );
  expect(busy.most).toBe(16);
});
