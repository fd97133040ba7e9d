import { expect, it } from 'vitest';
import { HostNeeds } from '../../../../src/agent/host/host-needs.ts';
import type { Lack } from '../../../../src/core/host-needs.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const vxlan: Lack = { need: 'vxlan', words: 'Unknown device type, EOPNOTSUPP' };

it('what is lacking is told once in the log, and in the status until somebody loaded it', async () => {
  const clock = new VirtualClock();
  const quit = new AbortController();
  const told: string[] = [];
  const tell = (_: object, message: string) => void told.push(message);
  let lacks: readonly Lack[] | undefined;
  let probes = 0;
  const needs = new HostNeeds({
    clock,
    logger: { warn: tell, info: tell, debug: () => undefined },
    async probe() {
      probes += 1;
      if (!lacks) throw new Error('not now');
      return lacks;
    },
  });
  const ended = needs.run(quit.signal);
  expect(probes).toBe(0);
  await clock.advance(1_000);
  expect([probes, needs.problems]).toEqual([1, []]);
  lacks = [vxlan];
  await clock.advance(30_000);
  expect(needs.problems).toEqual([
    expect.stringMatching(/lacks VXLAN devices.*`modprobe -a vxlan`.*Unknown device type/),
  ]);
  expect(told).toEqual(['this host lacks what networks need']);
  lacks = [];
  await clock.until(ended);
  expect(needs.problems).toEqual([]);
  expect(told[1]).toBe('this host has what it lacked');
  const before = probes;
  await clock.advance(60_000);
  expect(probes).toBe(before);
});

it('ends with the agent', async () => {
  const quit = new AbortController();
  const clock = new VirtualClock();
  const needs = new HostNeeds({
    clock,
    logger: { warn: () => undefined, info: () => undefined, debug: () => undefined },
    probe: async () => [vxlan],
  });
  const ended = needs.run(quit.signal);
  await clock.advance(1_000);
  quit.abort();
  await ended;
});
