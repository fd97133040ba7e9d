import { expect, test } from 'vitest';
import { joinAnswer } from '../../../../src/core/engine/join.ts';

const subnets = [{ cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} }];
const address = '10.0.1.5';
const route = '169.254.53.53/32';

test.each([
  ['an ordinary one leaves by our gateway', false, false, { gateway: '10.0.1.1', disableGatewayService: false }],
  ['one that publishes ports leaves by the engine', false, true, { disableGatewayService: false }],
  ['one on an internal network does not leave', true, false, { disableGatewayService: true }],
  ['nor when it publishes ports', true, true, { disableGatewayService: true }],
])('%s', (_, internal, publishesPorts, expected) => {
  const network = { internal, subnets, options: {} };
  expect(joinAnswer({ link: 'ovc0123456789ab', network, address, publishesPorts, serviceRoute: route })).toEqual({
    ...{ sourceName: 'ovc0123456789ab', destinationPrefix: 'eth', staticRoutes: [{ destination: route }] },
    ...expected,
  });
});

test('an endpoint too many gets no way of its own to the service address', () => {
  const joining = {
    link: 'ovc',
    network: { internal: false, subnets, options: {} },
    address,
    publishesPorts: false,
    serviceRoute: undefined,
  };
  expect(joinAnswer(joining).staticRoutes).toEqual([]);
});

test("a network's interfaces are called as it says", () => {
  const network = { internal: false, subnets, options: { container_iface_prefix: 'lan' } };
  const joining = { link: 'ovc', network, address, publishesPorts: false, serviceRoute: undefined };
  expect(joinAnswer(joining).destinationPrefix).toBe('lan');
});

test('a container that publishes ports keeps its address on a network that is routed', () => {
  const network = { internal: false, subnets, options: { gateway_mode_ipv4: 'routed' } };
  const joining = { link: 'ovc', network, address, publishesPorts: true, serviceRoute: undefined };
  expect(joinAnswer(joining).gateway).toBe('10.0.1.1');
  expect(joinAnswer({ ...joining, network: { ...network, internal: true } }).gateway).toBeUndefined();
});

test('the gateway is that of the subnet of the address, and the others are on the link', () => {
  const more = { cidr: '10.0.2.0/24', gateway: '10.0.2.254', auxAddresses: {} };
  const network = { internal: false, subnets: [...subnets, more], options: {} };
  const joining = { link: 'ovc', network, address: '10.0.2.7', publishesPorts: false, serviceRoute: route };
  expect(joinAnswer(joining)).toMatchObject({
    gateway: '10.0.2.254',
    staticRoutes: [{ destination: route }, { destination: '10.0.1.0/24' }],
  });
});
