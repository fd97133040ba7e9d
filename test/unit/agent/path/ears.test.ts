import { expect, test } from 'vitest';
import { Ears } from '../../../../src/agent/path/ears.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const nothing = async () => undefined;

test('of hundreds of networks a few are opened at a time, each one once, and those that are gone closed', () => {
  const opened: string[] = [];
  const closed: string[] = [];
  const ears = new Ears({
    clock: new VirtualClock(),
    message: () => undefined,
    open: (namespace) => {
      opened.push(namespace);
      const close = async () => void closed.push(namespace);
      return { send: () => true, isCurrent: () => true, close };
    },
  });
  const all = new Set(Array.from({ length: 20 }, (_, at) => 4_096 + at));
  const counts = [1, 2, 3, 4].map(() => {
    ears.keep(all);
    return opened.length;
  });
  expect(counts).toEqual([8, 16, 20, 20]);
  expect(new Set(opened).size).toBe(20);
  ears.keep(new Set([4_096]));
  expect(closed).toHaveLength(19);
});

test('one that cannot be opened keeps none of the others from it', () => {
  const opened: string[] = [];
  const ears = new Ears({
    clock: new VirtualClock(),
    message: () => undefined,
    open: (namespace) => {
      if (Number(namespace.slice(4)) < 4_104) throw new Error('there is no such namespace');
      opened.push(namespace);
      return { send: () => true, isCurrent: () => true, close: nothing };
    },
  });
  const all = new Set(Array.from({ length: 10 }, (_, at) => 4_096 + at));
  ears.keep(all);
  ears.keep(all);
  expect(opened).toEqual(['ovl-4104', 'ovl-4105']);
});

test('what is about to go is let go of, which is waited for, and opened again where it is there', async () => {
  const [opened, closed] = [[] as string[], [] as string[]];
  const closing = Promise.withResolvers<void>();
  const ears = new Ears({
    clock: new VirtualClock(),
    message: () => undefined,
    open: (namespace) => {
      opened.push(namespace);
      const close = () => {
        closed.push(namespace);
        return closing.promise;
      };
      return { send: () => true, isCurrent: () => true, close };
    },
  });
  const all = new Set([4_096, 4_097]);
  ears.keep(all);
  const events: string[] = [];
  const gone = ears.letGo(['ovl-4097', 'ovl-5000']).then(() => events.push('let go'));
  expect([closed, ears.isOpen(4_097)]).toEqual([['ovl-4097'], false]);
  // Nobody wants it any more: what is on its way already is waited for as well.
  ears.keep(new Set());
  const other = ears.letGo(['ovl-4096']).then(() => events.push('let go'));
  await ears.letGo(['ovl-5000']);
  events.push('closed');
  closing.resolve();
  await Promise.all([gone, other]);
  expect(events).toEqual(['closed', 'let go', 'let go']);
  ears.keep(all);
  expect(opened).toEqual(['ovl-4096', 'ovl-4097', 'ovl-4096', 'ovl-4097']);
});

test('what a device that is gone does not take goes by the one in its place, which hears since then', async () => {
  const clock = new VirtualClock();
  const sent: number[] = [];
  let links = 1;
  const ears = new Ears({
    clock,
    message: () => undefined,
    open: () => {
      const own = links;
      const isCurrent = () => own === links;
      return { send: () => isCurrent() && sent.push(own) > 0, isCurrent, close: nothing };
    },
  });
  ears.keep(new Set([4_096]));
  ears.send(4_096, new Uint8Array());
  await clock.advance(1_000);
  links = 2;
  ears.send(4_096, new Uint8Array());
  expect([sent, ears.listensSince(4_096)]).toEqual([[1, 2], 1_000]);
  links = 3;
  // Not since it was asked for, but from then on.
  expect([ears.listensSince(4_096), ears.listensSince(4_096)]).toEqual([undefined, 1_000]);
});
