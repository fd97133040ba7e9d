/** Answers from static names, through what is told over the line. */
import type { Answer, RecordType } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { resolve } from '../../../../src/core/dns/resolve.ts';
import type { Zone } from '../../../../src/core/dns/zone.ts';
import { ZoneChanges } from '../../../../src/core/dns/zone-changes.ts';
import { Zones } from '../../../../src/core/dns/zones.ts';
import type { StaticSet } from '../../../../src/core/records.ts';
import { fakeView } from './fake-view.ts';
import { edns, question, read } from './messages.ts';
import { buildZone, takeNews } from './zone-of.ts';

const set = (name: string, type: string, ...values: readonly string[]): StaticSet => ({ name, type, values });
const long = 'x'.repeat(300);
const SETS = [
  { ...set('db', 'A', '192.0.2.9', '192.0.2.10'), ttlSeconds: 60 },
  set('db', 'AAAA', '2001:db8::9'),
  set('db', 'TXT', 'v=1', long),
  set('sql', 'CNAME', 'db'),
  set('store', 'CNAME', 'sql'),
  set('front', 'CNAME', 'api'),
  set('lost', 'CNAME', 'nobody'),
  set('round', 'CNAME', 'again'),
  set('again', 'CNAME', 'round'),
  set('api', 'A', '192.0.2.99'),
  set('_http._tcp.api', 'SRV', '0 5 8080 api', '1 0 443 www.example.com', '2 0 1 .'),
  set('www.example.com', 'A', '10.0.1.77'),
  set('twice', 'A', '192.0.2.10'),
  set('many', 'A', ...Array.from({ length: 100 }, (_, i) => `192.0.2.${i + 100}`)),
  set('mail', 'MX', '10 db'),
  set('odd', 'SRV', 'not a service'),
];
const networks = [
  {
    ...{ id: 'w', name: 'Web', cidr: '10.0.1.0/24', sets: SETS },
    endpoints: [
      { address: '10.0.1.2', name: 'api' },
      { address: '10.0.1.3', name: 'far', nodeId: 'suspect' },
    ],
  },
  { id: 'd', name: 'store', cidr: '10.0.2.0/24', endpoints: [], sets: [set('pg', 'A', '192.0.2.200')] },
];
const view = fakeView(networks);
const zone = (id: string) => buildZone({ view, hidden: () => new Set(['suspect']) }, id, { ttlSeconds: 5 }) as Zone;
const [web, store] = [zone('w'), zone('d')];

interface Asking {
  readonly zones?: readonly [Zone, ...Zone[]];
  readonly random?: number;
  readonly transport?: 'udp' | 'tcp';
}

function ask(name: string, type: RecordType = 'A', { zones = [web], random = 0, transport = 'tcp' }: Asking = {}) {
  const asker = { address: '10.0.1.9', transport, zones, isOverlay: () => false };
  const reply = resolve(question(name, type, edns(1232)), asker, () => random);
  if (!(reply instanceof Uint8Array)) return reply === undefined ? 'dropped' : 'forward';
  return read(reply);
}

/** `rcode`, and of each record its name, time to live, type and data. */
function shown(...asked: Parameters<typeof ask>): readonly string[] {
  const reply = ask(...asked);
  if (typeof reply === 'string') return [reply];
  const data = (answer: Answer) => {
    if (answer.type === 'SRV') {
      const { priority, weight, port, target } = answer.data;
      return [priority, weight, port, target].join(' ');
    }
    return 'data' in answer ? String(answer.data) : '';
  };
  const ttl = (answer: Answer) => ('ttl' in answer ? answer.ttl : '');
  return [reply.rcode, ...reply.answers!.map((each) => `${each.name} ${ttl(each)} ${each.type} ${data(each)}`)];
}

describe('a static name', () => {
  it('has the values of the type, with its time to live, beginning with another one each time', () => {
    expect(shown('db')).toEqual(['NOERROR', 'db 60 A 192.0.2.9', 'db 60 A 192.0.2.10']);
    expect(shown('DB.web', 'A', { random: 0.5 })).toEqual([
      'NOERROR',
      'DB.web 60 A 192.0.2.10',
      'DB.web 60 A 192.0.2.9',
    ]);
    expect(shown('db.web.overlayd.internal', 'AAAA')).toEqual([
      'NOERROR',
      'db.web.overlayd.internal 5 AAAA 2001:db8::9',
    ]);
    expect(shown('tasks.db', 'AAAA')).toEqual(['NOERROR', 'tasks.db 5 AAAA 2001:db8::9']);
    expect(shown('www.example.com')).toEqual(['NOERROR', 'www.example.com 5 A 10.0.1.77']);
  });

  it('has texts, in strings of 255 bytes', () => {
    const reply = ask('db', 'TXT');
    const strings = (reply as ReturnType<typeof read>).answers!.map(
      (each) => 'data' in each && (each.data as Buffer[]).map(String),
    );
    expect(strings).toEqual([['v=1'], [long.slice(0, 255), long.slice(255)]]);
  });

  it('has services, whose hosts on the network are called as the question is', () => {
    const services = (suffix: string) => [`0 5 8080 api${suffix}`, '1 0 443 www.example.com', '2 0 1 .'];
    for (const suffix of ['', '.web', '.web.overlayd.internal']) {
      const name = `_http._tcp.api${suffix}`;
      expect(shown(name, 'SRV')).toEqual(['NOERROR', ...services(suffix).map((each) => `${name} 5 SRV ${each}`)]);
    }
  });

  it('has nothing of another type, and for how long, and nobody else is asked', () => {
    for (const [name, type] of [
      ['www.example.com', 'AAAA'],
      ['db', 'SRV'],
      ['db', 'MX'],
      ['odd', 'SRV'],
    ] as const) {
      expect(ask(name, type)).toMatchObject({ rcode: 'NOERROR', answers: [], authorities: [{ type: 'SOA', ttl: 5 }] });
    }
    expect(ask('mail', 'MX')).toMatchObject({ rcode: 'NXDOMAIN' });
    expect(ask('db', 'ANY' as RecordType)).toMatchObject({ answers: [{ type: 'HINFO' }] });
  });

  it('is cut by UDP', () => {
    const cut = ask('many', 'A', { transport: 'udp' }) as ReturnType<typeof read>;
    expect(cut).toMatchObject({ flag_tc: true });
    expect(cut.answers!.length).toBeGreaterThan(70);
    expect((ask('many') as ReturnType<typeof read>).answers).toHaveLength(100);
  });

  it('is a container’s as long as one goes by it, also one that is not heard of', () => {
    expect(shown('api')).toEqual(['NOERROR', 'api 5 A 10.0.1.2']);
    const sets = [set('far', 'A', '192.0.2.1')];
    const other = buildZone({ view: fakeView([{ ...networks[0]!, sets }]), hidden: () => new Set(['suspect']) }, 'w', {
      ttlSeconds: 5,
    });
    expect(shown('far', 'A', { zones: [other!] })).toEqual(['NXDOMAIN']);
  });
});

describe('an alias', () => {
  it('gives the way and what is at its end', () => {
    const end = ['db.web 60 A 192.0.2.10', 'db.web 60 A 192.0.2.9'];
    expect(shown('store.web', 'A', { random: 0.5 })).toEqual([
      'NOERROR',
      'store.web 5 CNAME sql.web',
      'sql.web 5 CNAME db.web',
      ...end,
    ]);
    expect(shown('sql', 'AAAA')).toEqual(['NOERROR', 'sql 5 CNAME db', 'db 5 AAAA 2001:db8::9']);
    expect(shown('front.web.overlayd.internal')).toEqual([
      'NOERROR',
      'front.web.overlayd.internal 5 CNAME api.web.overlayd.internal',
      'api.web.overlayd.internal 5 A 10.0.1.2',
    ]);
  });

  it('is given itself to who asks for it', () => {
    expect(shown('store', 'CNAME')).toEqual(['NOERROR', 'store 5 CNAME sql']);
    expect(shown('db', 'CNAME')).toEqual(['NOERROR']);
  });

  it('of nobody says so, and so does one whose end has nothing of the type', () => {
    expect(shown('lost')).toEqual(['NXDOMAIN', 'lost 5 CNAME nobody']);
    expect(ask('lost')).toMatchObject({ authorities: [{ type: 'SOA' }] });
    expect(shown('front', 'AAAA')).toEqual(['NOERROR', 'front 5 CNAME api']);
    expect(ask('front', 'AAAA')).toMatchObject({ authorities: [{ type: 'SOA' }] });
  });

  it('in a circle, which somebody else wrote, has an end', () => {
    expect(shown('round')[0]).toBe('NOERROR');
    expect(shown('round').length).toBeLessThan(12);
  });
});

describe('the address of a static name', () => {
  it('is called by it, inside our networks and outside, where one name alone has it', () => {
    expect(shown('77.1.0.10.in-addr.arpa', 'PTR')[1]).toContain('PTR www.example.com.Web');
    expect(shown('9.2.0.192.in-addr.arpa', 'PTR')[1]).toContain('PTR db.Web');
    expect(ask('10.2.0.192.in-addr.arpa', 'PTR')).toBe('forward');
    expect(shown('99.2.0.192.in-addr.arpa', 'PTR')).toEqual(['forward']);
    expect(shown('2.1.0.10.in-addr.arpa', 'PTR')[1]).toContain('PTR api.Web');
    expect(shown('200.2.0.192.in-addr.arpa', 'PTR', { zones: [web, store] })[1]).toContain('PTR pg.store');
    expect(ask('200.2.0.192.in-addr.arpa', 'PTR')).toBe('forward');
  });
});

describe('what is told of static names', () => {
  function setUp() {
    const endpoints: { address: string; name: string }[] = [];
    const network = {
      id: 'w',
      name: 'web',
      cidr: '10.0.1.0/24',
      endpoints,
      sets: undefined as StaticSet[] | undefined,
    };
    const zones = new Zones();
    zones.setTtl(5);
    // The view of a member gives the same record until it changes.
    let record: { networkId: string; sets: readonly StaticSet[] } | undefined;
    const live = { ...fakeView([network as never]), staticNames: () => record };
    const sources = { view: live, hidden: () => new Set<string>() };
    const change = (sets: readonly StaticSet[] | undefined) => {
      record = sets && { networkId: 'w', sets };
    };
    const answer = (name = 'db') => shown(name, 'A', { zones: [zones.get('w')!] });
    return { endpoints, zones, sources, change, answer };
  }

  it('is told once, and again when it changes', () => {
    const { sources, change } = setUp();
    change([set('db', 'A', '192.0.2.1')]);
    const changes = new ZoneChanges(sources);
    const kinds = () => [...changes.take('w', true)].filter(({ kind }) => kind === 'static').length;
    expect([kinds(), kinds()]).toEqual([1, 0]);
    change([]);
    expect([kinds(), kinds()]).toEqual([1, 0]);
  });

  it('stays over sessions that know nothing, and goes when one knows all', () => {
    const { zones, sources, change, answer } = setUp();
    change([set('db', 'A', '192.0.2.1')]);
    takeNews(zones, new ZoneChanges(sources).take('w', true), 1);
    expect(answer()[0]).toBe('NOERROR');
    change(undefined);
    takeNews(zones, new ZoneChanges(sources).take('w', false), 2);
    expect(answer()[0]).toBe('NOERROR');
    takeNews(zones, [{ kind: 'whole', networkId: 'w' }], 2);
    expect(answer()[0]).toBe('NXDOMAIN');
  });

  it('is known to a successor, and over a change of the time to live', () => {
    const { zones, sources, change, answer } = setUp();
    change([set('db', 'A', '192.0.2.1')]);
    takeNews(zones, new ZoneChanges(sources).take('w', true), 1);
    const successor = new Zones();
    takeNews(successor, [...zones.tell(10)]);
    expect(shown('db', 'A', { zones: [successor.get('w')!] })).toEqual(['NOERROR', 'db 0 A 192.0.2.1']);
    zones.setTtl(9);
    expect(answer()).toEqual(['NOERROR', 'db 9 A 192.0.2.1']);
  });

  it('counts again when the container that had the name is gone', () => {
    const { endpoints, zones, sources, change, answer } = setUp();
    change([set('db', 'A', '192.0.2.1')]);
    const changes = new ZoneChanges(sources);
    const tell = () => takeNews(zones, [...changes.take('w', true)], 1);
    tell();
    endpoints.push({ address: '10.0.1.5', name: 'db' });
    tell();
    expect(answer()).toEqual(['NOERROR', 'db 5 A 10.0.1.5']);
    expect(shown('1.2.0.192.in-addr.arpa', 'PTR', { zones: [zones.get('w')!] })).toEqual(['forward']);
    change([set('db', 'A', '192.0.2.2'), set('x', 'A', '192.0.2.3')]);
    tell();
    expect(answer()).toEqual(['NOERROR', 'db 5 A 10.0.1.5']);
    endpoints.pop();
    tell();
    expect(answer()).toEqual(['NOERROR', 'db 5 A 192.0.2.2']);
    change([]);
    tell();
    expect(answer()).toEqual(['NXDOMAIN']);
  });
});
