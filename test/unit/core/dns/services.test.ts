/** Answers for services that endpoints declare, through what is told over the line. */
import type { RecordType } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { zoneEntry } from '../../../../src/core/dns/names-protocol.ts';
import { resolve } from '../../../../src/core/dns/resolve.ts';
import type { Zone } from '../../../../src/core/dns/zone.ts';
import { ZoneChanges } from '../../../../src/core/dns/zone-changes.ts';
import { Zones } from '../../../../src/core/dns/zones.ts';
import { endpointRecord } from '../../../fixtures/records.ts';
import { type FakeEndpoint, fakeView } from './fake-view.ts';
import { edns, question, read } from './messages.ts';
import { buildZone, takeNews } from './zone-of.ts';

const id = (text: string) => text.padEnd(12, '0').padEnd(64, 'f');
const port = (name: string | undefined, number: number, protocol = 'tcp') => ({
  ...{ port: number, protocol },
  ...(name === undefined ? {} : { name }),
});

const ENDPOINTS: readonly FakeEndpoint[] = [
  { id: id('a1'), address: '10.0.1.2', name: 'API', aliases: ['any'], ports: [port('http', 8080), port('http', 8081)] },
  {
    id: id('a2'),
    address: '10.0.1.3',
    name: 'two',
    aliases: ['any'],
    ports: [port('http', 80), port('dns', 53, 'udp')],
  },
  { id: id('a3'), address: '10.0.1.4', name: 'far', aliases: ['any'], nodeId: 'suspect', ports: [port('http', 81)] },
  { id: id('a4'), address: '10.0.1.5', name: 'none', aliases: ['any'], ports: [port(undefined, 82)] },
  { id: id('b1'), address: '10.0.1.6', name: 'twin', ports: [port('http', 1)] },
  { id: id('b2'), address: '10.0.1.7', name: 'twin', ports: [port('http', 2)] },
  { id: id('c1'), address: '10.0.1.8', name: 'dual', ports: [port('http', 3)] },
  { id: id('c1'), address: 'fd00:1::8', name: 'dual', ports: [port('http', 3)] },
  { id: id('d1'), address: '10.0.1.9', name: 'web', ports: [port('http', 4)] },
  { id: id('e1'), address: '10.0.1.10', name: 'my.app', ports: [port('http', 5)] },
  { id: id('e2'), address: '10.0.1.11', name: 'given', ports: [port('http', 6)] },
];
const many = Array.from({ length: 60 }, (_, i) => ({
  ...{ id: id(`${i}x`), address: `10.0.2.${i + 2}`, name: `replica-number-${i}`, aliases: ['all'] },
  ports: [port('http', 8000 + i)],
}));
const networks = [
  {
    ...{ id: 'w', name: 'Web', cidr: '10.0.1.0/24', cidr6: 'fd00:1::/64', endpoints: ENDPOINTS },
    sets: [{ name: '_http._tcp.given', type: 'SRV', values: ['0 5 9999 api'] }],
  },
  {
    ...{ id: 'o', name: 'other', cidr: '10.0.2.0/24' },
    endpoints: [...many, { id: id('f1'), address: '10.0.2.100', name: 'none', ports: [port('http', 7)] }],
  },
];
const view = fakeView(networks);
const zone = (networkId: string) =>
  buildZone({ view, hidden: () => new Set(['suspect']) }, networkId, { ttlSeconds: 5 }) as Zone;
const [web, other] = [zone('w'), zone('o')];

interface Asking {
  readonly zones?: readonly [Zone, ...Zone[]];
  readonly type?: RecordType;
  readonly random?: number;
  readonly transport?: 'udp' | 'tcp';
  readonly plain?: boolean;
}

function ask(name: string, { zones = [web], type = 'SRV', random = 0, transport = 'tcp', plain }: Asking = {}) {
  const asker = { address: zones[0] === other ? '10.0.2.2' : '10.0.1.2', transport, zones, isOverlay: () => false };
  const reply = resolve(question(name, type, plain ? {} : edns(1232)), asker, () => random);
  if (!(reply instanceof Uint8Array)) throw new Error(reply === undefined ? 'dropped' : 'forward');
  return { ...read(reply), bytes: reply.length };
}

/** Code, services, and the addresses behind. */
function shown(name: string, asking: Asking = {}): readonly string[] {
  const { rcode, answers = [], additionals = [] } = ask(name, asking);
  const services = answers.map((each) => {
    if (each.type !== 'SRV') return each.type;
    expect(each).toMatchObject({ name, ttl: 5 });
    const { priority, weight, port: number, target } = each.data;
    return [priority, weight, number, target].join(' ');
  });
  const behind = additionals.flatMap((each) =>
    each.type === 'A' || each.type === 'AAAA' ? [`${each.name} ${each.data} ${each.ttl}`] : [],
  );
  return [rcode, ...services, ...behind];
}

const API = ['NOERROR', '0 1 8080 api', '0 1 8081 api', 'api 10.0.1.2 5'];

describe('a service', () => {
  it('is where those that go by the name have the port, with their addresses', () => {
    expect(shown('_http._tcp.api')).toEqual(API);
    expect(shown('_dns._udp.two')).toEqual(['NOERROR', '0 1 53 two', 'two 10.0.1.3 5']);
    expect(shown('_http._tcp.a10000000000')).toEqual(API);
    expect(shown('_http._tcp.tasks.api')).toEqual(API);
    expect(shown('_HTTP._TCP.Api')).toEqual(API);
    expect(shown('_http._tcp.api', { plain: true, transport: 'udp' })).toEqual(API);
  });

  it('of an alias is on all that are heard of, beginning with another one each time', () => {
    const ends = ['0 1 8080 api', '0 1 8081 api', '0 1 80 two'];
    expect(shown('_http._tcp.any')).toEqual(['NOERROR', ...ends, 'api 10.0.1.2 5', 'two 10.0.1.3 5']);
    expect(shown('_http._tcp.any', { random: 0.7 })).toEqual([
      ...['NOERROR', ends[2]!, ends[0]!, ends[1]!],
      ...['two 10.0.1.3 5', 'api 10.0.1.2 5'],
    ]);
  });

  it('leads to names of the form that was asked', () => {
    for (const suffix of ['.web', '.web.overlayd.internal']) {
      expect(shown(`_dns._udp.two${suffix}`)).toEqual(['NOERROR', `0 1 53 two${suffix}`, `two${suffix} 10.0.1.3 5`]);
    }
    expect(shown('_http._tcp.my.app')).toEqual(['NOERROR', '0 1 5 my.app', 'my.app 10.0.1.10 5']);
    // The container, which is called as its network.
    expect(shown('_http._tcp.web')).toEqual(['NOERROR', '0 1 4 web', 'web 10.0.1.9 5']);
    expect(shown('_http._tcp.web', { zones: [web, other] })).toEqual(['NOERROR', '0 1 4 web', 'web 10.0.1.9 5']);
  });

  it('leads to the one that has the port where several have the name', () => {
    const [one, two] = ['b10000000000', 'b20000000000'];
    expect(shown('_http._tcp.twin')).toEqual([
      ...['NOERROR', `0 1 1 ${one}`, `0 1 2 ${two}`],
      ...[`${one} 10.0.1.6 5`, `${two} 10.0.1.7 5`],
    ]);
  });

  it('is one, however many addresses it has', () => {
    expect(shown('_http._tcp.dual')).toEqual(['NOERROR', '0 1 3 dual', 'dual 10.0.1.8 5', 'dual fd00:1::8 5']);
  });

  it('that somebody gave by hand is that alone', () => {
    expect(shown('_http._tcp.given')).toEqual(['NOERROR', '0 5 9999 api']);
  });

  it('has nothing of other types, nor has what it is below of', () => {
    for (const type of ['A', 'TXT'] as const) {
      expect(ask('_http._tcp.api', { type })).toMatchObject({
        rcode: 'NOERROR',
        answers: [],
        authorities: [{ ttl: 5 }],
      });
    }
    for (const suffix of ['', '.web', '.web.overlayd.internal']) {
      expect(shown(`_tcp.api${suffix}`)).toEqual(['NOERROR']);
      expect(shown(`_udp.api${suffix}`)).toEqual(['NXDOMAIN']);
    }
    expect(ask('_http._tcp.api', { type: 'ANY' as RecordType })).toMatchObject({ answers: [{ type: 'HINFO' }] });
  });

  it('that nobody declares does not exist, and nobody else is asked', () => {
    for (const name of ['_ssh._tcp.api', '_http._udp.api', '_http._tcp.none', '_http._tcp.far', '_http._tcp.nobody']) {
      expect(ask(name)).toMatchObject({ rcode: 'NXDOMAIN', answers: [] });
    }
    for (const name of ['_ssh._tcp.api.web', '_ssh._tcp.api.web.overlayd.internal', '_x._http._tcp.api']) {
      expect(ask(name)).toMatchObject({ rcode: 'NXDOMAIN', answers: [], authorities: [{ type: 'SOA' }] });
    }
  });

  it('is that of the network to which the name leads', () => {
    expect(shown('_http._tcp.none', { zones: [web, other] })).toEqual(['NXDOMAIN']);
    expect(shown('_http._tcp.none', { zones: [other, web] })).toEqual(['NOERROR', '0 1 7 none', 'none 10.0.2.100 5']);
    expect(shown('_http._tcp.none.other', { zones: [web, other] })[0]).toBe('NOERROR');
    expect(shown('_http._tcp.api', { zones: [other, web] })).toEqual(API);
  });

  it('is cut by UDP, and loses addresses first', () => {
    const asked = { zones: [other] as const, transport: 'udp' as const };
    const cut = ask('_http._tcp.all', asked);
    expect(cut).toMatchObject({ flag_tc: true });
    expect(cut.bytes).toBeLessThanOrEqual(1232);
    expect(cut.additionals!.map(({ type }) => type)).toEqual(['OPT']);
    const whole = ask('_http._tcp.all', { ...asked, transport: 'tcp' });
    expect(whole.answers).toHaveLength(60);
    expect(whole.additionals).toHaveLength(61);
    expect(whole).toMatchObject({ flag_tc: false });
  });
});

describe('what is told of services', () => {
  it('is nothing of an endpoint that has none', () => {
    const entry = (ports: FakeEndpoint['ports']) =>
      Object.keys(zoneEntry({ ...endpointRecord({}), ...(ports && { ports }) }, '10.0.1.2', true));
    expect(entry(undefined)).not.toContain('services');
    expect(entry([port(undefined, 80)])).not.toContain('services');
    expect(entry([port('http', 80)])).toContain('services');
  });

  it('counts when it changes, and is told again to who knows nothing', () => {
    const endpoints = [{ ...ENDPOINTS[1]! }];
    const changing = fakeView([{ ...networks[0]!, endpoints, sets: [] }]);
    const sources = { view: changing, hidden: () => new Set<string>() };
    const zones = new Zones();
    zones.setTtl(5);
    const tell = () => takeNews(zones, new ZoneChanges(sources).take('w', true));
    const services = (of: Zones) => shown('_http._tcp.two', { zones: [of.get('w')!] });
    tell();
    expect(services(zones)).toEqual(['NOERROR', '0 1 80 two', 'two 10.0.1.3 5']);
    endpoints[0] = { ...endpoints[0]!, ports: [port('http', 8080)] };
    tell();
    expect(services(zones)).toEqual(['NOERROR', '0 1 8080 two', 'two 10.0.1.3 5']);
    const copy = new Zones();
    copy.setTtl(5);
    takeNews(copy, [...zones.tell(10)]);
    expect(services(copy)).toEqual(services(zones));
    endpoints[0] = { ...endpoints[0]!, ports: [] };
    tell();
    expect(services(zones)).toEqual(['NXDOMAIN']);
  });
});
