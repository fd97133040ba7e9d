/** What somebody undoes many times a second is told a few times a minute, and nothing of it is left out. */
import { expect, test } from 'vitest';
import { RepairLog } from '../../../../src/agent/reconcile/repair-log.ts';
import { HOST, type Op, type PlannedOp } from '../../../../src/core/host-state.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const ignore = () => undefined;

function repair(op: Op): PlannedOp {
  return { op, reason: 'update', network: undefined, endpointId: undefined };
}
const FORWARDING = repair({ kind: 'set-sysctl', at: HOST, key: 'net.ipv4.ip_forward', value: '1' });
const LINK = repair({ kind: 'delete-link', at: HOST, name: 'ovl4096' });

const nameOf = (namespace: string) => ({ 'ovl-4096': 'web' })[namespace];
const REPAIRED = { event: 'kernel-repaired' };

function open() {
  const told: unknown[] = [];
  const logger: Logger = {
    ...{ error: ignore, info: ignore, debug: ignore, child: () => logger },
    warn: (fields: object) => told.push(fields),
  };
  const clock = new VirtualClock();
  return { told, clock, log: new RepairLog({ clock, logger, nameOf, signal: new AbortController().signal }) };
}

test('a repair is told at once', () => {
  const { told, log } = open();
  log.note([]);
  log.note([FORWARDING, LINK, LINK]);
  expect(told).toEqual([{ ...REPAIRED, writes: 3, kinds: ['set-sysctl', 'delete-link'], network: [] }]);
});

test('names the networks that they were in', () => {
  const { told, log } = open();
  log.note([LINK, { ...LINK, network: 'ovl-4096' }, { ...LINK, network: 'ovl-5000' }]);
  expect(told).toMatchObject([{ event: 'kernel-repaired', network: ['web'] }]);
});

test('fifty a second are told once in ten seconds, all of them', async () => {
  const { told, clock, log } = open();
  for (let nth = 0; nth < 50 * 15; nth++) {
    log.note([FORWARDING]);
    await clock.advance(20);
  }
  await clock.advance(60_000);
  expect(told).toEqual([1, 499, 250].map((writes) => ({ ...REPAIRED, writes, kinds: ['set-sysctl'], network: [] })));
});

test('after a quiet time the next one is told at once', async () => {
  const { told, clock, log } = open();
  log.note([FORWARDING]);
  await clock.advance(10_000);
  log.note([LINK]);
  expect(told).toHaveLength(2);
});
