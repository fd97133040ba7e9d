/** Hosts whose engines make the same network of the cluster at the same moment, by an etcd that takes its time. */
import { describe, expect, it } from 'vitest';
import { NETWORK_OPTION } from '../../src/core/engine/engine.ts';
import { dockerNetwork, useEngines } from './engine-story.ts';
import { silent } from './simulated-cluster.ts';

const TIMES = 100;
const { hosts, until, pass, stored, offered } = useEngines(silent, { etcdMs: 4 });

describe.each([
  ['named to the IPAM driver', (name: string) => ({ options: {}, ipamOptions: { [NETWORK_OPTION]: name } })],
  ['named to the network driver', (name: string) => ({ options: { [NETWORK_OPTION]: name }, ipamOptions: {} })],
])('one network is made by two hosts, %s', (_, naming) => {
  it.each([
    ['with a subnet', true, false],
    ['without one', false, false],
    ['of both families with a subnet of each', true, true],
    ['of both families without one', false, true],
  ])('%s', async (__, withSubnet, ipv6) => {
    for (let time = 0; time < TIMES; time++) {
      const ofIpv6 = ipv6 ? { ipv6: true, ...(withSubnet && { ipv6Subnet: { cidr: `fd00:9:0:${time}::/64` } }) } : {};
      const subnet = { ...(withSubnet && { subnet: { cidr: `10.9.${time}.0/24` } }), ...ofIpv6 };
      const spec = dockerNetwork(`shop_jobs${time}`, { ...naming(`jobs${time}`), ...subnet });
      await until(Promise.all(hosts().map(({ engine }) => engine.createNetworkAs(spec))));
    }
    await pass(10_000);
    expect(stored('networks')).toHaveLength(TIMES);
    for (const host of hosts()) expect(offered(host)).toHaveLength(2 * TIMES);
  });
});
