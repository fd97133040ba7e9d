/** Names in our own domain, names with dots, and whose word counts for them. */
import type { RecordType } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import type { Cidr } from '../../../../src/core/cidr.ts';
import { withinDomain } from '../../../../src/core/dns/domain.ts';
import { resolve, resolveForeign } from '../../../../src/core/dns/resolve.ts';
import type { Zone } from '../../../../src/core/dns/zone.ts';
import { type FakeNetwork, fakeView } from './fake-view.ts';
import { addressesIn, edns, question, read } from './messages.ts';
import { buildZone } from './zone-of.ts';

const WEB: FakeNetwork = {
  id: 'w1',
  name: 'Web',
  cidr: '10.0.1.0/24',
  endpoints: [
    { address: '10.0.1.2', name: 'api', aliases: ['backend'] },
    { address: '10.0.1.3', name: 'my.app', aliases: ['db.example.com', 'backend'] },
    { address: '10.0.1.4', name: 'far', nodeId: 'suspect' },
    // What somebody might give to get at others' questions.
    {
      address: '10.0.1.66',
      name: 'rogue',
      aliases: ['api.db', 'x.overlayd.internal', 'api.db.overlayd.internal', 'db'],
    },
    { address: '10.0.1.67', name: 'odd.web' },
  ],
};
const DB: FakeNetwork = {
  id: 'd1',
  name: 'db',
  cidr: '10.0.2.0/24',
  internal: true,
  endpoints: [{ address: '10.0.2.2', name: 'api' }],
};
const TEAM: FakeNetwork = {
  id: 't1',
  name: 'team.db',
  cidr: '10.0.3.0/24',
  endpoints: [{ address: '10.0.3.2', name: 'api' }],
};
const view = fakeView([WEB, DB, TEAM]);
const zone = (id: string) => buildZone({ view, hidden: () => new Set(['suspect']) }, id, { ttlSeconds: 5 })!;
const web = zone('w1');
const db = zone('d1');
const team = zone('t1');

type Zones = readonly [Zone, ...Zone[]];
const HOMES: Readonly<Record<string, string>> = { web: '10.0.1.9', db: '10.0.2.9', 'team.db': '10.0.3.9' };

function ask(message: Uint8Array, zones: Zones) {
  const reply = resolve(message, { address: HOMES[zones[0].network]!, transport: 'udp', zones }, () => 0);
  return reply instanceof Uint8Array ? read(reply) : reply === undefined ? 'dropped' : 'forward';
}

function answered(name: string, zones: Zones = [web], type: RecordType = 'A') {
  const reply = ask(question(name, type), zones);
  if (typeof reply === 'string') throw new Error(reply);
  return reply;
}

const addresses = (name: string, ...zones: [Zone, ...Zone[]]) => addressesIn(answered(name, zones)).sort();

describe('the domain', () => {
  it('is told from names that only look like it', () => {
    expect(withinDomain('api.web.overlayd.internal')).toBe('api.web');
    expect(withinDomain('overlayd.internal')).toBe('');
    for (const name of ['xoverlayd.internal', 'overlayd.internal.example', 'internal', 'overlayd', '']) {
      expect(withinDomain(name)).toBeUndefined();
    }
  });

  it.each([
    ['api.web.overlayd.internal', ['10.0.1.2']],
    ['backend.web.overlayd.internal', ['10.0.1.2', '10.0.1.3']],
    ['tasks.backend.web.overlayd.internal', ['10.0.1.2', '10.0.1.3']],
    ['my.app.web.overlayd.internal', ['10.0.1.3']],
    ['API.Web.Overlayd.INTERNAL', ['10.0.1.2']],
  ])('%s', (name, expected) => {
    expect(addresses(name, web)).toEqual(expected);
  });

  it('has the names of all networks of the client, dots in the networks’ names too', () => {
    expect(addresses('api.db.overlayd.internal', web, db)).toEqual(['10.0.2.2']);
    expect(addresses('api.web.overlayd.internal', db, web)).toEqual(['10.0.1.2']);
    expect(addresses('api.team.db.overlayd.internal', db, team)).toEqual(['10.0.3.2']);
  });

  it.each([
    'nope.web.overlayd.internal',
    'api.overlayd.internal',
    'api.db.overlayd.internal',
    'x.overlayd.internal',
    'far.web.overlayd.internal',
    '_http._tcp.api.web.overlayd.internal',
  ])('%s does not exist, and is forwarded for nobody', (name) => {
    for (const type of ['A', 'AAAA', 'SRV'] as const) {
      const reply = answered(name, [web], type);
      expect(reply).toMatchObject({ rcode: 'NXDOMAIN', answers: [], flag_aa: true });
      expect(reply.authorities).toMatchObject([{ type: 'SOA', name: 'overlayd.internal', ttl: 5 }]);
    }
  });

  it('and its networks exist without records, as do other types of names in it', () => {
    for (const name of ['overlayd.internal', 'web.overlayd.internal', 'tasks.web.overlayd.internal']) {
      expect(answered(name)).toMatchObject({ rcode: 'NOERROR', answers: [] });
    }
    const reply = answered('api.web.overlayd.internal', [web], 'AAAA');
    expect(reply).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(reply.authorities).toMatchObject([{ type: 'SOA', name: 'overlayd.internal' }]);
  });
});

describe('a name with dots', () => {
  it('resolves as given and below its network', () => {
    for (const name of ['my.app', 'my.app.web', 'tasks.my.app', 'db.example.com', 'db.example.com.web']) {
      expect(addresses(name, web)).toEqual(['10.0.1.3']);
    }
  });

  it('that ends like its own network does so too', () => {
    expect(addresses('odd.web', web)).toEqual(['10.0.1.67']);
    expect(addresses('odd.web.web', web)).toEqual(['10.0.1.67']);
  });

  it('is what its address points to', () => {
    expect(answered('3.1.0.10.in-addr.arpa', [web], 'PTR').answers).toMatchObject([
      { type: 'PTR', data: 'my.app.Web' },
    ]);
  });

  it('takes no name of another network of the client', () => {
    expect(addresses('api.db', web)).toEqual(['10.0.1.66']);
    expect(addresses('api.db', web, db)).toEqual(['10.0.2.2']);
    expect(addresses('api.db', db, web)).toEqual(['10.0.2.2']);
    expect(answered('nope.db', [web, db]).rcode).toBe('NXDOMAIN');
  });

  it('takes none of the domain', () => {
    expect(answered('x.overlayd.internal').rcode).toBe('NXDOMAIN');
    expect(addresses('api.db.overlayd.internal', web, db)).toEqual(['10.0.2.2']);
  });
});

describe('a network’s name', () => {
  it('does not hide an endpoint that goes by it on another network', () => {
    expect(addresses('db', web, db)).toEqual(['10.0.1.66']);
    expect(addresses('db', db, web)).toEqual(['10.0.1.66']);
    expect(answered('db', [db])).toMatchObject({ rcode: 'NOERROR', answers: [] });
  });
});

describe('who is on none of our networks', () => {
  const isOverlay = ({ ip }: Cidr) => ip.value >> 8n === 0x0a0001n;
  const foreign = (message: Uint8Array) => {
    const reply = resolveForeign(message, { ttlSeconds: 5, isOverlay });
    return reply instanceof Uint8Array ? read(reply) : reply === undefined ? 'dropped' : 'forward';
  };

  it.each(['www.example', 'printer', 'api', 'api.web', '_http._tcp.printer', 'metadata.google.internal', '.'])(
    'has %s forwarded',
    (name) => {
      expect(foreign(question(name))).toBe('forward');
    },
  );

  it('learns nothing of ours, and nothing of ours leaves', () => {
    for (const name of ['api.web.overlayd.internal', 'web.overlayd.internal', 'x.overlayd.internal']) {
      expect(foreign(question(name))).toMatchObject({
        rcode: 'NXDOMAIN',
        authorities: [{ type: 'SOA', name: 'overlayd.internal' }],
      });
    }
    expect(foreign(question('2.1.0.10.in-addr.arpa', 'PTR'))).toMatchObject({ rcode: 'NXDOMAIN' });
    expect(foreign(question('8.8.8.8.in-addr.arpa', 'PTR'))).toBe('forward');
  });

  it('gets the same refusals as everybody', () => {
    expect(foreign(question('a.example', 'AXFR'))).toMatchObject({ rcode: 'REFUSED' });
    expect(foreign(question('a.example', 'A', { type: 'response' }))).toBe('dropped');
    const later = question('a.example', 'A', edns(1232));
    later[later.length - 5] = 1;
    expect(foreign(later)).toMatchObject({ additionals: [{ extendedRcode: 1 }] });
  });
});
