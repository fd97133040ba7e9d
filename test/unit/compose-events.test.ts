import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { composeEvents } from '../../src/compose-events.ts';
import type { Selected } from '../../src/core/events/event-history.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { recordingLogger } from './agent/cluster/cluster-fixture.ts';

type Log = ReturnType<typeof composeEvents>['log'];

async function typesOf(log: Log) {
  const query = { types: [], nodes: [], networks: [], sinceMs: 0, untilMs: 0, limit: 9, after: 0, follow: false };
  const { value } = await log.tell(query, () => [], new AbortController().signal).next();
  return (value as Selected).events.map(({ type }) => type);
}

test('the file of events is not read before the agent has its place: the one before may still write', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'events-'));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  const clock = new VirtualClock();
  const former = composeEvents({ dataDir }, clock, recordingLogger([]));
  await former.log.load();
  former.logger.info({ event: 'names-lost' }, 'names are not answered');
  await former.log.end();
  const next = composeEvents({ dataDir }, clock, recordingLogger([]));
  expect(await typesOf(next.log)).toEqual([]);
  former.logger.info({ event: 'agent-stopped' }, 'the agent ends');
  await former.log.end();
  await next.log.load();
  expect(await typesOf(next.log)).toEqual(['names-lost', 'agent-stopped']);
});
