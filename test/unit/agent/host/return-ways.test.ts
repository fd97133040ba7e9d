import { expect, test } from 'vitest';
import { ReturnWays, type ReturnWaysDeps } from '../../../../src/agent/host/return-ways.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import { endpointRecord } from '../../../fixtures/records.ts';
import { recordingLogger } from '../cluster/cluster-fixture.ts';

const endpoint = (networkId: string, address: string, identity = 'c1') =>
  ({ record: endpointRecord({ networkId, address }), container: { identity } }) as LocalEndpoint;

test('of a network on which the host itself is, the way to its gateway is asked for, without a way out as well', async () => {
  const subnets = [{ cidr: '10.0.0.0/24', gateway: '10.0.0.1' }];
  const vault = { id: 'f0', name: 'vault', vni: 4096, internal: true, subnets };
  let link = 'ovl4096';
  const ways = new ReturnWays({
    view: { network: () => vault as unknown as NetworkRecord } as unknown as ReturnWaysDeps['view'],
    local: { all: () => [endpoint('f0', '10.0.0.9', 'host')] },
    facts: { linksTo: async ([address]) => new Map([[address!, link]]), routes: async () => [] },
    made: { isMade: () => true },
    logger: recordingLogger([]),
  });
  expect(await ways.problems()).toEqual([]);
  link = 'tun0';
  expect(await ways.problems()).toEqual([
    expect.stringMatching(/this host.* on network vault, does not reach it \(10\.0\.0\.1\).*tun0/),
  ]);
});

test('a way that is astray is named also where the kernel does not tell its routes', async () => {
  const web = { id: 'f0', name: 'web', vni: 4096, internal: false, subnets: [{ cidr: '10.0.0.0/24' }] };
  const ways = new ReturnWays({
    view: { network: () => web as unknown as NetworkRecord } as unknown as ReturnWaysDeps['view'],
    local: { all: () => [endpoint('f0', '10.0.0.2')] },
    facts: {
      linksTo: async () => new Map([['10.0.0.2', 'tun0']]),
      routes: () => Promise.reject(new Error('the kernel does not tell')),
    },
    made: { isMade: () => true },
    logger: recordingLogger([]),
  });
  expect(await ways.problems()).toEqual([expect.stringMatching(/network web .* leads to tun0/)]);
});

test('the host is asked for its routes once, however many networks are concerned', async () => {
  const network = (id: string, third: number) =>
    ({ id, name: id, vni: 4096 + third, internal: false, subnets: [{ cidr: `10.0.${third}.0/24` }] }) as never;
  const networks = new Map<string, NetworkRecord>([
    ['web', network('web', 0)],
    ['api', network('api', 1)],
  ]);
  let asked = 0;
  const ways = new ReturnWays({
    view: { network: (id: string) => networks.get(id) } as unknown as ReturnWaysDeps['view'],
    local: { all: () => [endpoint('web', '10.0.0.2'), endpoint('api', '10.0.1.2')] },
    facts: {
      linksTo: async (addresses) => new Map(addresses.map((address) => [address, 'tun0'])),
      routes: async () => {
        asked++;
        return [{ destination: '10.0.0.0/8', link: 'tun0', onLink: false, gateways: [] }];
      },
    },
    made: { isMade: () => true },
    logger: recordingLogger([]),
  });
  const each = (name: string) => expect.stringMatching(new RegExp(`network ${name} .*the route 10.0.0.0/8 by tun0`));
  expect(await ways.problems()).toEqual([each('web'), each('api')]);
  expect(asked).toBe(1);
});
