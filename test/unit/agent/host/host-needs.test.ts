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
  let ipv6 = false;
  const needs = new HostNeeds({
    clock,
    logger: { warn: tell, info: tell, debug: () => undefined },
    wanted: () => ({ ipv6 }),
    async probe(wanted) {
      probes += 1;
      if (wanted.ipv6) return [{ need: 'ipv6', words: '' }];
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
  await clock.advance(10_000);
  expect(needs.problems).toEqual([]);
  expect(told[1]).toBe('this host has what it lacked');
  const before = probes;
  await clock.advance(60_000);
  expect(probes).toBe(before);
  // A network or a member of IPv6 has come.
  ipv6 = true;
  await clock.advance(10_000);
  expect(needs.problems).toEqual([expect.stringMatching(/lacks IPv6, which .*without ipv6\.disable=1/)]);
  quit.abort();
  await clock.until(ended);
});

it('ends with the agent', async () => {
  const quit = new AbortController();
  const clock = new VirtualClock();
  const needs = new HostNeeds({
    clock,
    logger: { warn: () => undefined, info: () => undefined, debug: () => undefined },
    wanted: () => ({ ipv6: false }),
    probe: async () => [vxlan],
  });
  const ended = needs.run(quit.signal);
  await clock.advance(1_000);
  quit.abort();
  await ended;
});
