import { expect, test } from 'vitest';
import { contains, isCanonical, parseCidr } from '../../../../src/core/cidr.ts';
import {
  chooseServiceWay,
  joiningAttachment,
  serviceRoute,
  serviceWay,
} from '../../../../src/core/engine/service-route.ts';
import { SERVICE_ADDRESS } from '../../../../src/core/host-state.ts';
import { parseIp } from '../../../../src/core/ip.ts';

test('each endpoint of a container gets a larger block around the service address, and none a large one', () => {
  const routes: string[] = [];
  for (let route = serviceRoute(new Set()); route !== undefined; route = serviceRoute(new Set(routes))) {
    routes.push(route);
    expect(contains(parseCidr(route)!, parseIp(SERVICE_ADDRESS)!)).toBe(true);
    // What the kernel takes for a destination.
    expect(isCanonical(parseCidr(route)!)).toBe(true);
  }
  expect(routes.slice(0, 3)).toEqual(['169.254.53.53/32', '169.254.53.52/31', '169.254.53.52/30']);
  expect(routes.at(-1)).toBe('169.254.53.0/24');
  expect(routes).toHaveLength(9);
});

test('what was given up is given again', () => {
  expect(serviceRoute(new Set(['169.254.53.52/31', undefined]))).toBe('169.254.53.53/32');
});

test('an endpoint without IPv4 has no way there, and one that joins again keeps its own', () => {
  const before = { endpointId: 'e', networkId: 'n' };
  const joining = { sandbox: '/run/docker/netns/1', ports: [] };
  expect(joiningAttachment(before, joining, undefined)).toEqual({ ...before, sandbox: joining.sandbox });
  const joined = joiningAttachment(before, joining, []);
  expect(joined.serviceRoute).toBe('169.254.53.53/32');
  expect(joiningAttachment(joined, joining, [{ engine: joined }])).toEqual(joined);
});

test('an endpoint for which no block is left has a route of its own metric', () => {
  const others: ReturnType<typeof chooseServiceWay>[] = [];
  for (let count = 0; count < 12; count++) others.push(chooseServiceWay(others));
  const ways = others.map((each) => serviceWay({ endpointId: 'e', networkId: 'n', ...each }, 'eth0'));
  expect(ways.slice(-4).map(({ destination, metric }) => [destination, metric])).toEqual([
    ['169.254.53.0/24', undefined],
    ['169.254.53.53/32', 1],
    ['169.254.53.53/32', 2],
    ['169.254.53.53/32', 3],
  ]);
  expect(chooseServiceWay(others.filter((each) => each.serviceMetric !== 2))).toEqual({ serviceMetric: 2 });
});
