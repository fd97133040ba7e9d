import { expect, test } from 'vitest';
import { EventLog } from '../../../../src/agent/events/event-log.ts';
import { recording } from '../../../../src/agent/events/recording.ts';
import type { Selected } from '../../../../src/core/events/event-history.ts';
import type { EventQuery } from '../../../../src/ports/members.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { type LogLine, recordingLogger } from '../cluster/cluster-fixture.ts';

const QUERY: EventQuery = {
  ...{ sinceMs: 0, untilMs: 0, types: [], nodes: [], networks: [] },
  ...{ after: 0, limit: 100, follow: false },
};

/** A disk, of which each write is a list of its own; it may be full. */
class Disk {
  readonly writes: string[][] = [];
  lines: string[] = [];
  isFull = false;

  load = async () => this.lines;
  append = async (lines: readonly string[]) => {
    if (this.isFull) throw new Error('ENOSPC');
    this.writes.push([...lines]);
    this.lines.push(...lines);
  };
  replace = async (lines: readonly string[]) => {
    this.lines = [];
    await this.append(lines);
  };
  remove = async () => {
    this.lines = [];
  };
}

async function open(disk = new Disk()) {
  const clock = new VirtualClock();
  const lines: LogLine[] = [];
  const plain = recordingLogger(lines);
  const log = new EventLog({ file: disk, clock, logger: plain });
  await log.load();
  return { log, clock, lines, disk, logger: recording(plain, (...entry) => log.record(...entry)) };
}

async function told(log: EventLog, query: Partial<EventQuery> = {}) {
  const { value } = await log.tell({ ...QUERY, ...query }, () => ['h1'], new AbortController().signal).next();
  return (value as Selected).events.map(({ type, fields, level }) => ({ type, fields, level }));
}

test('a line with `event` is one, with what its parents say of themselves; every other line is not', async () => {
  const { log, logger, lines } = await open();
  logger.info({ network: 'web' }, 'network looked at');
  logger.child({ node: 'h1', tool: 'docker' }).warn({ event: 'endpoint-attached', network: 'web' }, 'connected');
  expect(await told(log)).toEqual([
    { type: 'endpoint-attached', level: 'warn', fields: { tool: 'docker', network: 'web' } },
  ]);
  expect(lines.map(({ message }) => message)).toEqual(['network looked at', 'connected']);
});

test('the first is written at once, what follows together; another run of the agent has all', async () => {
  const { logger, clock, disk, log } = await open();
  for (let nth = 0; nth < 50; nth++) {
    logger.info({ event: 'kernel-repaired', nth }, 'repaired');
    await clock.advance(1);
  }
  await clock.advance(1_000);
  expect(disk.writes.map(({ length }) => length)).toEqual([1, 49]);
  logger.info({ event: 'agent-stopped' }, 'ends');
  await log.end();
  const again = await open(disk);
  expect((await told(again.log)).map(({ type }) => type)).toEqual([
    ...Array(50).fill('kernel-repaired'),
    'agent-stopped',
  ]);
});

test('a full disk is told once and loses nothing as long as the agent runs', async () => {
  const { logger, clock, disk, lines, log } = await open();
  disk.isFull = true;
  for (let nth = 0; nth < 5; nth++) {
    logger.info({ event: 'kernel-repaired', nth }, 'repaired');
    await clock.advance(1_000);
  }
  expect(lines.filter(({ message }) => message.includes('cannot be kept'))).toHaveLength(1);
  disk.isFull = false;
  logger.info({ event: 'agent-stopped' }, 'ends');
  await log.end();
  expect(disk.lines).toHaveLength(6);
});

test('the file is written anew when much was appended', async () => {
  const { logger, clock, disk } = await open();
  const text = 'x'.repeat(390);
  for (let nth = 0; nth < 6_000; nth++) {
    logger.info({ event: 'kernel-repaired', nth, text }, 'repaired');
    if (nth % 100 === 0) await clock.advance(1_000);
  }
  await clock.advance(1_000);
  expect(disk.lines.join('').length).toBeLessThan(2.5 * 2 ** 20);
  expect(disk.lines.at(-1)).toMatch(/"nth":5999|leftOut/);
});

test('whoever follows hears what comes, and no more than that', async () => {
  const { logger, clock, log } = await open();
  logger.info({ event: 'agent-started' }, 'starts');
  const stop = new AbortController();
  const heard: string[][] = [];
  const following = (async () => {
    for await (const { events } of log.tell(
      { ...QUERY, follow: true, types: ['network'] },
      () => ['h1'],
      stop.signal,
    )) {
      heard.push(events.map(({ fields }) => String(fields.network)));
    }
  })();
  await clock.advance(1);
  logger.info({ event: 'network-created', network: 'a' }, 'created');
  logger.info({ event: 'network-created', network: 'b' }, 'created');
  logger.info({ event: 'kernel-repaired' }, 'repaired');
  await clock.advance(1_000);
  logger.info({ event: 'network-removed', network: 'a' }, 'removed');
  await clock.advance(1_000);
  stop.abort();
  await following;
  expect(heard).toEqual([[], ['a', 'b'], ['a']]);
});

test('of a cluster that was left nothing is told', async () => {
  const { logger, log, disk, clock } = await open();
  logger.info({ event: 'network-created', network: 'a' }, 'created');
  await clock.advance(1_000);
  await log.clear();
  expect([await told(log), disk.lines]).toEqual([[], []]);
  logger.info({ event: 'agent-stopped' }, 'ends');
  expect((await told(log)).map(({ type }) => type)).toEqual(['agent-stopped']);
});
