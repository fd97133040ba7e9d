import { expect, it } from 'vitest';
import type { EventsReply, SeenEvent } from '../../../src/gen/overlayd/v1/control.ts';
import { NOW, run } from './fake-agent.ts';

const event = (type: string, at: number, fields: object): SeenEvent => ({
  ...{ nodeId: 'n1', nodeName: 'host1' },
  event: { type, seq: at, atMs: at, level: 'info', message: 'it happened', fields: JSON.stringify(fields) },
});
const reply: EventsReply = {
  events: [event('join-admitted', NOW, { name: 'h 2\n' }), event('network-created', NOW + 1, { network: 'web' })],
  leftOut: [{ nodeName: 'host1', type: 'kernel-repaired', count: 12 }],
  away: [{ nodeName: 'host2', reason: 'it did not answer in time' }],
};
const answers = { followEvents: (_: never, tell: (told: EventsReply) => void) => tell(reply) };

it('is a line each; what is missing is said on standard error', async () => {
  const { out, error, code, asked } = await run('events', { answers });
  expect(out).toBe(
    '2026-03-01T12:00:00.000Z host1 join-admitted it happened name="h 2\\n"\n' +
      '2026-03-01T12:00:00.001Z host1 network-created it happened network=web\n',
  );
  expect(error).toMatch(/without the events of host2: it did not answer in time/);
  expect(error).toMatch(/^older events are not shown, or kept no more: 12 of host1 \(kernel-repaired\); see --limit/m);
  expect(code).toBe(0);
  expect(asked[0]![1]).toEqual({
    local: false,
    query: { sinceMs: 0, untilMs: 0, types: [], nodes: [], networks: [], after: 0, limit: 1_000, follow: false },
  });
});

it('is one JSON array, templates, and one object a line for whoever follows', async () => {
  const { out } = await run('events --format json', { answers });
  const parsed = JSON.parse(out);
  expect(parsed[1]).toEqual({
    Time: '2026-03-01T12:00:00.001Z',
    Node: 'host1',
    NodeID: 'n1',
    Type: 'network-created',
    Level: 'info',
    Message: 'it happened',
    Fields: { network: 'web' },
  });
  expect((await run(['events', '--format', '{{.Type}} {{.Fields.network}}'], { answers })).out).toBe(
    'join-admitted <no value>\nnetwork-created web\n',
  );
  expect((await run(['events', '--format', '{{.Fields.network.nope}}'], { answers })).out).toBe(
    '<no value>\n<no value>\n',
  );
  const lines = (await run('events --follow --format json', { answers })).out.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual(parsed);
});

it('shows the newest of all hosts', async () => {
  const { out, error } = await run('events -n 1', { answers });
  expect(out).toContain('network-created');
  expect(out).not.toContain('join-admitted');
  expect(error).toContain('older events are not shown, or kept no more: 13 of host1; see --limit');
});

it('says in one line what is left out, however many hosts and types it is of', async () => {
  const leftOut = ['host1', 'host2', ''].flatMap((nodeName) =>
    ['a', 'b', 'c'].map((type) => ({ nodeName, type, count: 2 })),
  );
  const told = {
    followEvents: (_: never, tell: (told: EventsReply) => void) => tell({ events: [], leftOut, away: [] }),
  };
  expect((await run('events --limit 1', { answers: told })).error).toBe(
    'older events are not shown, or kept no more: 6 of host1, 6 of host2, 6 of this host; see --limit, --since and --filter\n',
  );
});

it('ends with its reader, when it follows', async () => {
  const gone = new AbortController();
  let heard: AbortSignal | undefined;
  const followEvents = (_: never, tell: (told: EventsReply) => void, signal?: AbortSignal) => {
    tell(reply);
    heard = signal;
  };
  await run('events -f', { answers: { followEvents }, surroundings: { unread: gone.signal } });
  expect(heard).toBe(gone.signal);
});

it('asks for what was said', async () => {
  const line = 'events --since 10m --until 2026-03-01T12:00:00Z --local';
  const filters = '--filter type=join-* --filter type=store --filter node=host2 --filter network=web';
  const { asked } = await run(`${line} ${filters}`, { answers });
  expect(asked[0]![1]).toMatchObject({
    local: true,
    query: {
      ...{ sinceMs: NOW - 600_000, untilMs: NOW },
      ...{ types: ['join-*', 'store'], nodes: ['host2'], networks: ['web'] },
    },
  });
  expect((await run('events -f', { answers })).asked[0]![1]).toMatchObject({ query: { sinceMs: NOW, follow: true } });
});

it.each([
  ['events --filter type=join-admited', /did you mean join-admitted/],
  ['events --filter type=nonsense', /there are address, agent/],
  ['events --filter colour=red', /type=…, node=…, network=…/],
  ['events --since yesterday', /write it like 10m/],
  ['events --since 10', /write it like 10m/],
  ['events --since 5m --until 1h', /--until 1h is before --since 5m/],
  ['events -f type=network', /-f is --follow here, write --filter type=network/],
  ['events web', /takes no arguments, but got web/],
  ['events --limit 0', /from 1 to 20000/],
  ['events -f --until 1m', /leave --until out/],
  [['events', '-f', '--format', '{{.Nope}}'], /no field Nope in .*there are Time, Node, /],
  [['events', '--format', '{{.Type.Nope}}'], /no field Nope/],
])('%s is refused, and nobody is asked', async (line, message) => {
  const { code, error, asked } = await run(line, { answers });
  expect([code, asked]).toEqual([2, []]);
  expect(error).toMatch(message);
});

it('lets nothing of other hosts through to the terminal but text', async () => {
  const missing: EventsReply = {
    events: [],
    leftOut: [{ nodeName: 'h\x1b[1m', type: 't\x07', count: 1 }],
    away: [{ nodeName: 'h\x1b[2J', reason: 'r\x07' }],
  };
  const told = { followEvents: (_: never, tell: (reply: EventsReply) => void) => tell(missing) };
  const { error } = await run('events', { answers: told });
  expect(error).toContain('without the events of h?[2J: r?\n');
  expect(error).toContain(': 1 of h?[1m (t?); see');
});

it('has room for all that an older agent tells at once', async () => {
  const many = Array.from({ length: 200_000 }, (_, nth) => event('network-created', NOW + nth, {}));
  const told = { followEvents: (_: never, tell: (reply: EventsReply) => void) => tell({ ...reply, events: many }) };
  const { code, out, error } = await run('events -n 1', { answers: told });
  expect([code, out.split('\n').length]).toEqual([0, 2]);
  expect(error).toContain('older events are not shown, or kept no more: 200011 of host1;');
});
