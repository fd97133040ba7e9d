/** Names with addresses of their own: answered instead of those that go by them, in every form, whoever tells of them. */
import { expect, it } from 'vitest';
import { lookUp, lookUpQualified, pointerTarget, recordsOf } from '../../../../src/core/dns/zone.ts';
import { ZoneChanges } from '../../../../src/core/dns/zone-changes.ts';
import { Zones } from '../../../../src/core/dns/zones.ts';
import { encodeRecord } from '../../../../src/core/record-codec.ts';
import { keys } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord } from '../../../fixtures/records.ts';
import { toldView } from '../../../fixtures/told-view.ts';
import { takeNews } from './zone-of.ts';

const VIPS = ['10.0.1.100', 'fd00:1::100'];

function setUp() {
  const { view, tell } = toldView();
  const zones = new Zones();
  let changes = new ZoneChanges({ view, hidden: () => new Set() });
  let session = 1;
  const put = (key: string, record: object | undefined) => tell([{ key, value: record && encodeRecord(record) }]);
  const web = networkRecord({ id: 'n1', name: 'web' });
  const six = { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} };
  put(keys.network('n1'), { ...web, subnets: [...web.subnets, six] });
  for (const last of [2, 3]) {
    const endpoint = endpointRecord({
      ...{ id: String(last).padStart(64, '0'), name: `api-${last}`, aliases: ['api'], address: `10.0.1.${last}` },
    });
    put(keys.endpoint(endpoint), endpoint);
  }
  const addresses = [
    { subnet: '10.0.1.0/24', ip: VIPS[0]! },
    { subnet: 'fd00:1::/64', ip: VIPS[1]! },
  ];
  const services = ['api', 'later'].map((name) => ({
    id: name,
    name,
    addresses: name === 'api' ? addresses : [],
    createdAt: 1,
  }));
  const key = keys.services('n1');
  return {
    zones,
    offer: (isThere: boolean) => put(key, isThere ? { networkId: 'n1', services } : undefined),
    offerAt: (ip: string) => {
      const wrong = { ...services[0]!, addresses: [{ subnet: '10.0.1.0/24', ip }] };
      put(key, { networkId: 'n1', services: [wrong, services[1]!] });
    },
    take: (certain = true) => takeNews(zones, [...changes.take('n1', certain)], session),
    whole: () => takeNews(zones, [{ kind: 'whole', networkId: 'n1' }], session),
    restart: () => {
      changes = new ZoneChanges({ view, hidden: () => new Set() });
      session += 1;
    },
    addressesOf: (name: string) => lookUp(zones.get('n1')!, name)?.addresses,
  };
}

const TASKS = ['10.0.1.2', '10.0.1.3'];

it('are answered instead of those that go by them, who are their tasks', () => {
  const { zones, offer, take, addressesOf } = setUp();
  take();
  expect(addressesOf('api')).toEqual(TASKS);
  offer(true);
  take();
  for (const name of ['api', 'api.web']) expect(addressesOf(name)).toEqual(VIPS);
  for (const name of ['tasks.api', 'tasks.api.web']) expect(addressesOf(name)).toEqual(TASKS);
  const zone = zones.get('n1')!;
  expect(lookUpQualified(zone, 'api.web')?.addresses).toEqual(VIPS);
  expect(addressesOf('api-2')).toEqual(['10.0.1.2']);
  // Behind which there is nobody: it is no name of somebody else's.
  expect(lookUp(zone, 'tasks.later')?.kind).toBe('hidden');
  expect(recordsOf(zone, lookUp(zone, 'api')!, 6).length).toBeGreaterThan(0);
  expect(Buffer.from(pointerTarget(zone, VIPS[1]!)!).toString()).toBe('\x03api\x03web\0');
  offer(false);
  take();
  expect(addressesOf('api')).toEqual(TASKS);
  expect(pointerTarget(zone, VIPS[0]!)).toBeUndefined();
});

it('stay while a later agent does not know of them yet, and go when it knows that there are none', () => {
  const { zones, offer, take, whole, restart, addressesOf } = setUp();
  offer(true);
  take();
  whole();
  restart();
  offer(false);
  take(false);
  expect(addressesOf('api')).toEqual(VIPS);
  take();
  whole();
  expect(addressesOf('api')).toEqual(TASKS);
  offer(true);
  take();
  const other = new Zones();
  takeNews(other, [...zones.tell(250)], 1);
  expect(lookUp(other.get('n1')!, 'api')?.addresses).toEqual(VIPS);
});

it('are none at an address of a container, of the gateway or from elsewhere, whoever says so', () => {
  const { offer, offerAt, take, addressesOf } = setUp();
  offer(true);
  take();
  for (const ip of ['10.0.1.3', '10.0.1.1', '192.0.2.9']) {
    offerAt(ip);
    take();
    expect(addressesOf('api')).toEqual(TASKS);
  }
  offerAt('10.0.1.9');
  take();
  expect(addressesOf('api')).toEqual(['10.0.1.9']);
});
