import { describe, expect, it } from 'vitest';
import type { EndpointRecord } from '../../../src/core/records.ts';
import {
  backendsOf,
  desiredServices,
  refuseService,
  serviceName,
  servicesOf,
  withService,
} from '../../../src/core/service.ts';
import type { ServicesRecord } from '../../../src/core/service-records.ts';
import { endpointRecord, networkRecord } from '../../fixtures/records.ts';

const SUBNET = '10.0.1.0/24';
const at = (last: number, parts: Partial<EndpointRecord> = {}) =>
  endpointRecord({
    ...{ id: String(last).padStart(64, '0'), name: `api-${last}`, aliases: ['API'], address: `10.0.1.${last}` },
    ...parts,
  });
const service = (name: string, last: number) => ({
  ...{ id: name.padEnd(64, '0'), name, addresses: [{ subnet: SUBNET, ip: `10.0.1.${last}` }], createdAt: 1 },
});

function input(endpoints: readonly EndpointRecord[], hidden: readonly string[] = []) {
  const all = new Map(endpoints.flatMap((each) => each.addresses.map(({ ip }) => [ip, each] as const)));
  return { view: { addresses: () => all }, hidden: new Set(hidden) };
}

const record: ServicesRecord = { networkId: 'n1', services: [service('api', 100)] };

describe('who is behind a service', () => {
  it('is who goes by its name or alias, in whatever case, with why nothing is sent to one', () => {
    const all = [at(2), at(3, { nodeId: 'h2' }), at(4, { health: 'unhealthy' }), at(5, { aliases: [], name: 'other' })];
    const found = backendsOf(input(all, ['h2']), 'n1', new Set(['api', 'none']));
    expect(found.get('api')!.map(({ address, out }) => [address, out])).toEqual([
      ['10.0.1.2', undefined],
      ['10.0.1.3', 'host not heard'],
      ['10.0.1.4', 'unhealthy'],
    ]);
    expect(found.get('none')).toEqual([]);
  });

  it('is asked while it is well; where nobody is, the unwell are, and never one whose host is not heard', () => {
    const all = [at(2), at(3, { nodeId: 'h2' }), at(4, { health: 'unhealthy' })];
    const of = (...parts: Parameters<typeof input>) => desiredServices(input(...parts), record, 'h0')[0]!;
    expect(of(all, ['h2'])).toEqual({
      ...{ name: 'api', addresses: ['10.0.1.100'], members: ['10.0.1.2', '10.0.1.3', '10.0.1.4'] },
      backends: ['10.0.1.2'],
    });
    expect(of(all.slice(1), ['h2']).backends).toEqual(['10.0.1.4']);
    expect(of(all.slice(1, 2), ['h2'])).toMatchObject({ members: ['10.0.1.3'], backends: [] });
  });

  it('is asked in turns that begin elsewhere on each host', () => {
    const all = input([at(2), at(3), at(4)]);
    const orders = ['0', '1', '2', '3'].map((id) => desiredServices(all, record, id)[0]!.backends.join());
    expect(new Set(orders).size).toBe(3);
    for (const order of orders) expect(order.split(',').sort()).toEqual(['10.0.1.2', '10.0.1.3', '10.0.1.4']);
  });
});

describe('what the kernel has of services', () => {
  it('is none at an address of a container, of the gateway or from elsewhere: that would take what is sent to others', () => {
    const network = networkRecord();
    let moment = 0;
    const at = (ip: string, taken: string) => {
      const services = [{ ...service('api', 0), addresses: [{ subnet: SUBNET, ip }] }];
      const view = {
        addresses: () => new Map([[taken, endpointRecord({ address: taken })]]),
        moment: () => ++moment,
        services: () => ({ networkId: network.id, services }),
      };
      return servicesOf(view, network, new Set(), 'h0').map(({ addresses }) => addresses);
    };
    expect(at('10.0.1.100', '10.0.1.2')).toEqual([['10.0.1.100']]);
    for (const ip of ['10.0.1.2', '10.0.1.1', '10.0.1.255', '192.0.2.9']) expect(at(ip, '10.0.1.2')).toEqual([]);
  });
});

describe('a service', () => {
  it('is one of its name', () => {
    const both = withService([service('b', 100)], service('a', 101), 'web');
    expect(both.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(() => withService(both, service('b', 102), 'web')).toThrow(
      /is there already, at 10\.0\.1\.100; .*service rm web b/,
    );
    const many = Array.from({ length: 256 }, (_, nth) => service(`s${nth}`, 2));
    expect(() => withService(many, service('more', 3), 'web')).toThrow(/has 256 services/);
  });

  it('has a name that can be asked for, on a network whose containers reach each other', () => {
    expect(serviceName('Api')).toBe('api');
    expect(() => serviceName('a.b')).toThrow(/alias: "a\.b" is not valid/);
    refuseService(networkRecord());
    expect(() => refuseService(networkRecord({ options: { enable_icc: 'false' } }))).toThrow(
      /keeps its containers apart/,
    );
  });
});
