import { describe, expect, it } from 'vitest';
import {
  networkRequestOf,
  parseCreateCall,
  parseSetupCall,
  renderSetupAnswer,
} from '../../../../src/core/podman/plugin-calls.ts';

/** As netavark 1.14 sends it for `podman run --network web:ip=10.9.0.9,alias=foo -p 8080:80`. */
const SETUP = {
  container_id: 'c6'.repeat(32),
  container_name: 'c3',
  port_mappings: [{ container_port: 80, host_ip: '', host_port: 8080, protocol: 'tcp', range: 1 }],
  network: {
    ...{
      dns_enabled: false,
      driver: 'overlayd',
      id: '7a'.repeat(32),
      internal: false,
      ipv6_enabled: false,
      name: 'web',
    },
    ...{ network_interface: null, routes: null, network_dns_servers: null, options: { id: '5f'.repeat(32) } },
    ipam_options: { driver: 'none' },
    subnets: [{ gateway: '10.9.0.1', lease_range: null, subnet: '10.9.0.0/24' }],
  },
  network_options: {
    aliases: ['foo', 'c6c6c6c6c6c6'],
    interface_name: 'ens5',
    static_ips: ['10.9.0.9', 'fd00::9'],
    static_mac: '02:00:00:00:00:09',
    options: null,
  },
};
const setupOf = (change: object) => parseSetupCall(JSON.stringify({ ...SETUP, ...change }));

/** As Podman 5.4 sends it for `podman network create -d overlayd`, with these differences. */
const created = (change: object) =>
  parseCreateCall(
    JSON.stringify({
      ...{ name: 'web', id: '7a'.repeat(32), driver: 'overlayd', created: '0001-01-01T00:00:00Z' },
      ...{ ipv6_enabled: false, internal: false, dns_enabled: true, ...change },
    }),
  );

describe('setup', () => {
  it('is read as netavark sends it', () => {
    expect(setupOf({})).toMatchObject({
      ...{ containerId: SETUP.container_id, containerName: 'c3', aliases: ['foo', 'c6c6c6c6c6c6'], ifname: 'ens5' },
      ...{ ip: '10.9.0.9', ip6: 'fd00::9', mac: '02:00:00:00:00:09', options: {} },
      ports: [{ containerPort: 80, hostPort: 8080, hostIp: '', protocol: 'tcp', range: 1 }],
    });
    expect(setupOf({ port_mappings: null }).ports).toEqual([]);
  });

  it('of a reload has an address twice', () => {
    const options = { ...SETUP.network_options, static_ips: ['10.9.0.9', '10.9.0.9'] };
    expect(setupOf({ network_options: options })).toMatchObject({ ip: '10.9.0.9', ip6: undefined });
  });

  it('is refused in words when it is something else', () => {
    const options = { ...SETUP.network_options, static_ips: ['10.9.0.9', '10.9.0.10'] };
    expect(() => setupOf({ network_options: options })).toThrow('10.9.0.9 and 10.9.0.10 are asked for');
    expect(() => setupOf({ container_id: undefined })).toThrow('container_id is missing');
    expect(() => parseSetupCall('{')).toThrow('cannot read');
  });

  it('is answered with what Podman shows and writes into resolv.conf', () => {
    const addresses = [{ address: '10.9.0.9', prefix: 24, gateway: '10.9.0.1' }];
    const answer = { ifname: 'ens5', mac: '02:00:00:00:00:09', addresses, nameServers: ['10.9.0.1'] };
    const subnets = [{ ipnet: '10.9.0.9/24', gateway: '10.9.0.1' }];
    expect(JSON.parse(renderSetupAnswer(answer))).toEqual({
      dns_search_domains: [],
      dns_server_ips: ['10.9.0.1'],
      interfaces: { ens5: { mac_address: '02:00:00:00:00:09', subnets } },
    });
  });
});

describe('create', () => {
  it('without a word is a network of IPv4 of its own name', () => {
    expect(networkRequestOf(created({}))).toEqual({
      ...{ name: 'web', attachable: true, internal: false, ipv4: true, ipv6: false },
      ...{ subnets: [], gateways: [], ipRanges: [], auxAddresses: {}, labels: {}, options: {} },
    });
  });

  it('says all that a person may', () => {
    const lease_range = { start_ip: '10.9.0.129', end_ip: '10.9.0.255' };
    const subnets = [{ subnet: '10.9.0.0/24', gateway: '10.9.0.254', lease_range }, { subnet: 'fd00:9::/64' }];
    const options = { net: 'jobs', mtu: '1300' };
    const asked = created({ ipv6_enabled: true, internal: true, subnets, labels: { a: 'b' }, options });
    expect(networkRequestOf(asked)).toMatchObject({
      ...{ name: 'jobs', internal: true, ipv4: true, ipv6: true, subnets: ['10.9.0.0/24', 'fd00:9::/64'] },
      ...{ gateways: ['10.9.0.254'], ipRanges: ['10.9.0.128/25'], labels: { a: 'b' }, options: { mtu: '1300' } },
    });
  });

  it('with subnets of IPv6 alone has no IPv4, and name servers are those that are asked', () => {
    const asked = created({ subnets: [{ subnet: 'fd00:9::/64' }], network_dns_servers: ['192.0.2.53'] });
    expect(networkRequestOf(asked)).toMatchObject({ ipv4: false, ipv6: true, options: { dns: '192.0.2.53' } });
  });

  it.each([
    [{ network_interface: 'br7' }, '--interface-name'],
    [{ routes: [{ destination: '10.1.0.0/16', gateway: '10.9.0.2' }] }, '--route'],
    [{ ipam_options: { driver: 'dhcp' } }, '--ipam-driver dhcp'],
    [{ options: { id: 'x' } }, '-o net=NAME'],
    [{ subnets: [{ subnet: '10.9.0.0/24', lease_range: { start_ip: '10.9.0.5', end_ip: '10.9.0.9' } }] }, 'a CIDR'],
  ])('refuses %j, which it would not do', (change, words) => {
    expect(() => networkRequestOf(created(change))).toThrow(words);
  });
});
