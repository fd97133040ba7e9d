import { expect, it } from 'vitest';
import { fullNetworks } from '../../../../src/agent/host/full-networks.ts';
import { MOST_CONTAINERS } from '../../../../src/core/host-state.ts';
import { networkRecord } from '../../../fixtures/records.ts';

it('tells of each network that is nearly full on this host, by its name and by counts that are there', () => {
  const counts = new Map([
    ['web', 5],
    ['full', MOST_CONTAINERS - 1],
    ['unknown', MOST_CONTAINERS],
  ]);
  // Endpoints are not looked at one by one.
  const local = { networkIds: () => [...counts.keys()], countOn: (id: string) => counts.get(id)! };
  const network = (id: string) => (id === 'unknown' ? undefined : networkRecord({ id, name: `${id}-net` }));
  const full = () => fullNetworks({ network }, local);
  expect(full()).toEqual([
    expect.objectContaining({
      ...{ code: 'network-full', subject: 'full-net', certain: true },
      text: expect.stringMatching(/^network full-net has 1,02\d containers on this host, and can have 1,02\d on one/),
    }),
    expect.objectContaining({ subject: 'unknown', text: expect.stringMatching(/^network unknown has /) }),
  ]);
  counts.set('web', MOST_CONTAINERS);
  expect(full()).toHaveLength(3);
});
