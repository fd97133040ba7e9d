import { expect, test } from 'vitest';
import { ReturnWays, type ReturnWaysDeps } from '../../../src/agent/return-ways.ts';
import type { LocalEndpoint } from '../../../src/core/container.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { recordingLogger } from './cluster/cluster-fixture.ts';

test('a way that is astray is named also where the kernel does not tell its routes', async () => {
  const web = { id: 'f0', name: 'web', vni: 4096, internal: false, subnets: [{ cidr: '10.0.0.0/24' }] };
  const ways = new ReturnWays({
    view: { network: () => web as unknown as NetworkRecord } as unknown as ReturnWaysDeps['view'],
    local: { all: () => [{ record: { networkId: 'f0', address: '10.0.0.2' } } as LocalEndpoint] },
    facts: {
      linksTo: async () => new Map([['10.0.0.2', 'tun0']]),
      routes: () => Promise.reject(new Error('the kernel does not tell')),
    },
    made: { isMade: () => true },
    logger: recordingLogger([]),
  });
  expect(await ways.problems()).toEqual([expect.stringMatching(/network web .* leads to tun0/)]);
});
