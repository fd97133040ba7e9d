import { describe, expect, test } from 'vitest';
import { joinAnswer } from '../../../../src/core/engine/join.ts';

const subnets = [{ cidr: '10.0.1.0/24', gateway: '10.0.1.1', auxAddresses: {} }];
const addresses = ['10.0.1.5'];
const route = '169.254.53.53/32';

test.each([
  ['an ordinary one leaves by our gateway', false, false, { gateway: '10.0.1.1', disableGatewayService: false }],
  ['one that publishes ports leaves by the engine', false, true, { disableGatewayService: false }],
  ['one on an internal network does not leave', true, false, { disableGatewayService: true }],
  ['nor when it publishes ports', true, true, { disableGatewayService: true }],
])('%s', (_, internal, publishesPorts, expected) => {
  const network = { internal, subnets, options: {} };
  expect(joinAnswer({ link: 'ovc0123456789ab', network, addresses, publishesPorts, serviceRoute: route })).toEqual({
    ...{ sourceName: 'ovc0123456789ab', destinationPrefix: 'eth', staticRoutes: [{ destination: route }] },
    ...expected,
  });
});

test('an endpoint too many gets no way of its own to the service address', () => {
  const joining = {
    link: 'ovc',
    network: { internal: false, subnets, options: {} },
    addresses,
    publishesPorts: false,
    serviceRoute: undefined,
  };
  expect(joinAnswer(joining).staticRoutes).toEqual([]);
});

test("a network's interfaces are called as it says", () => {
  const network = { internal: false, subnets, options: { container_iface_prefix: 'lan' } };
  const joining = { link: 'ovc', network, addresses, publishesPorts: false, serviceRoute: undefined };
  expect(joinAnswer(joining).destinationPrefix).toBe('lan');
});

test('a container that publishes ports keeps its address on a network that is routed', () => {
  const network = { internal: false, subnets, options: { gateway_mode_ipv4: 'routed' } };
  const joining = { link: 'ovc', network, addresses, publishesPorts: true, serviceRoute: undefined };
  expect(joinAnswer(joining).gateway).toBe('10.0.1.1');
  expect(joinAnswer({ ...joining, network: { ...network, internal: true } }).gateway).toBeUndefined();
});

test('the gateway is that of the subnet of the address, and the others are on the link', () => {
  const more = { cidr: '10.0.2.0/24', gateway: '10.0.2.254', auxAddresses: {} };
  const network = { internal: false, subnets: [...subnets, more], options: {} };
  const joining = { link: 'ovc', network, addresses: ['10.0.2.7'], publishesPorts: false, serviceRoute: route };
  expect(joinAnswer(joining)).toMatchObject({
    gateway: '10.0.2.254',
    staticRoutes: [{ destination: route }, { destination: '10.0.1.0/24' }],
  });
});

describe('of both families', () => {
  const ipv6 = { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} };
  const more = { cidr: 'fd00:2::/64', gateway: 'fd00:2::1', auxAddresses: {} };
  const both = ['10.0.1.5', 'fd00:1::5'];
  const join = (own: readonly string[], publishesPorts: boolean, options: Readonly<Record<string, string>> = {}) =>
    joinAnswer({
      ...{ link: 'ovc', addresses: own, publishesPorts, serviceRoute: undefined },
      network: { internal: false, subnets: [...subnets, ipv6, more], options },
    });

  test('an endpoint has a gateway of each, and ways to other subnets of those that it has', () => {
    const way = { destination: 'fd00:2::/64' };
    expect(join(both, false)).toMatchObject({ gateway: '10.0.1.1', ipv6Gateway: 'fd00:1::1', staticRoutes: [way] });
    const ipv4 = join(['10.0.1.5'], false);
    expect(ipv4).toMatchObject({ gateway: '10.0.1.1', staticRoutes: [] });
    expect(ipv4.ipv6Gateway).toBeUndefined();
    const alone = join(['fd00:1::5'], false);
    expect(alone).toMatchObject({ ipv6Gateway: 'fd00:1::1', staticRoutes: [way] });
    expect(alone.gateway).toBeUndefined();
  });

  test.each<[string, readonly string[], Readonly<Record<string, string>>, boolean]>([
    ['leaves by its engine', both, {}, false],
    ['does so too where IPv6 alone is routed', both, { gateway_mode_ipv6: 'routed' }, false],
    ['keeps our gateways where IPv4 is routed', both, { gateway_mode_ipv4: 'routed' }, true],
    [
      'keeps ours where there is nothing but IPv6, and that is routed',
      ['fd00:1::5'],
      { gateway_mode_ipv6: 'routed' },
      true,
    ],
  ])('one that publishes ports %s', (_, own, options, isOurs) => {
    const { gateway, ipv6Gateway } = join(own, true, options);
    expect([gateway, ipv6Gateway].some((each) => each !== undefined)).toBe(isOurs);
  });
});
