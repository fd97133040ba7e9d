import { expect, test } from 'vitest';
import { serviceRoute } from '../../../../src/core/docker/service-route.ts';
import { SERVICE_ADDRESS } from '../../../../src/core/host-state.ts';
import { contains, isCanonical, parseAddress, parseCidr } from '../../../../src/core/ip.ts';

test('each endpoint of a container gets a larger block around the service address, and none a large one', () => {
  const routes: string[] = [];
  for (let route = serviceRoute(new Set()); route !== undefined; route = serviceRoute(new Set(routes))) {
    routes.push(route);
    expect(contains(parseCidr(route)!, parseAddress(SERVICE_ADDRESS)!)).toBe(true);
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
