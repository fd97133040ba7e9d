import { expect, it } from 'vitest';
import { FullNetworks } from '../../../../src/agent/host/full-networks.ts';
import { MOST_CONTAINERS } from '../../../../src/core/host-state.ts';
import { networkRecord } from '../../../fixtures/records.ts';

it('tells of a network that is nearly full on this host, and logs it once, by counts that are there', () => {
  const counts = new Map([
    ['web', 5],
    ['full', MOST_CONTAINERS - 1],
    ['unknown', MOST_CONTAINERS],
  ]);
  const logged: unknown[] = [];
  // Endpoints are not looked at one by one: a host hears of each attach in the cluster.
  const local = { networkIds: () => [...counts.keys()], countOn: (id: string) => counts.get(id)! };
  const network = (id: string) => (id === 'unknown' ? undefined : networkRecord({ id, name: `${id}-net` }));
  const logger = { warn: (fields: object) => logged.push(fields) };
  const full = new FullNetworks({ view: { network }, local, logger });
  expect(full.problems()).toEqual([
    expect.stringMatching(/^network full-net has 1,02\d containers on this host, and can have 1,02\d on one/),
    expect.stringMatching(/^network unknown has /),
  ]);
  full.problems();
  expect(logged).toHaveLength(1);
  counts.set('web', MOST_CONTAINERS);
  expect(full.problems()).toHaveLength(3);
  expect(logged).toHaveLength(2);
});
