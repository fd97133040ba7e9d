import type { RecordType } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import type { Cidr } from '../../../../src/core/cidr.ts';
import { resolve } from '../../../../src/core/dns/resolve.ts';
import type { Zone } from '../../../../src/core/dns/zone.ts';
import { type FakeNetwork, fakeView } from './fake-view.ts';
import { addressesIn, edns, question, read } from './messages.ts';
import { buildZone } from './zone-of.ts';

const WEB: FakeNetwork = {
  id: 'w1',
  name: 'Web',
  cidr: '10.0.1.0/24',
  endpoints: [
    { address: '10.0.1.2', name: 'api', aliases: ['backend'], id: `0123456789ab${'0'.repeat(52)}` },
    { address: '10.0.1.3', name: 'shop', aliases: ['Backend', 'db.example.com'] },
    { address: '10.0.1.4', name: 'far', aliases: ['backend', 'far.example.com'], nodeId: 'suspect' },
  ],
};
const DB: FakeNetwork = {
  id: 'd1',
  name: 'db',
  cidr: '10.0.2.0/24',
  internal: true,
  endpoints: [
    { address: '10.0.2.2', name: 'pg' },
    { address: '10.0.2.3', name: 'api' },
  ],
};
const MANY: FakeNetwork = {
  id: 'm1',
  name: 'many',
  cidr: '10.7.0.0/16',
  endpoints: Array.from({ length: 400 }, (_, i) => ({
    address: `10.7.${i >> 8}.${i & 255}`,
    name: `c${i}`,
    aliases: ['all'],
  })),
};
const view = fakeView([WEB, DB, MANY]);
const zone = (id: string, hidden: string[] = ['suspect']): Zone =>
  buildZone({ view, hidden: () => new Set(hidden) }, id, { ttlSeconds: 5 })!;
const web = zone('w1');
const db = zone('d1');

const ANY = 'ANY' as RecordType;

interface Asking {
  readonly zones?: readonly [Zone, ...Zone[]];
  readonly address?: string;
  readonly transport?: 'udp' | 'tcp';
  readonly random?: number;
  readonly hasWayOut?: () => boolean;
}

function ask(message: Uint8Array, { zones = [web], transport = 'udp', random = 0, ...rest }: Asking = {}) {
  const address = rest.address ?? (zones[0].network === 'web' ? '10.0.1.2' : '10.0.2.2');
  const isOverlay = ({ ip }: Cidr) => ip.value >> 8n === 0x0a0002n;
  const { hasWayOut = () => false } = rest;
  const resolution = resolve(message, { address, transport, zones, isOverlay, hasWayOut }, () => random);
  if (resolution instanceof Uint8Array) return read(resolution);
  return resolution === undefined ? 'dropped' : 'forward';
}

function answered(message: Uint8Array, asking: Asking = {}) {
  const reply = ask(message, asking);
  if (typeof reply === 'string') throw new Error(reply);
  return reply;
}

const addresses = (name: string, asking: Asking = {}) => addressesIn(answered(question(name), asking)).sort();
const rcode = (name: string, type: RecordType = 'A', asking: Asking = {}) =>
  answered(question(name, type), asking).rcode;

describe('names of endpoints', () => {
  it.each([
    ['api', ['10.0.1.2']],
    ['0123456789ab', ['10.0.1.2']],
    ['api.web', ['10.0.1.2']],
    ['backend', ['10.0.1.2', '10.0.1.3']],
    ['backend.web', ['10.0.1.2', '10.0.1.3']],
    ['tasks.backend', ['10.0.1.2', '10.0.1.3']],
    ['tasks.backend.web', ['10.0.1.2', '10.0.1.3']],
    ['db.example.com', ['10.0.1.3']],
    ['API.wEB', ['10.0.1.2']],
  ])('%s', (name, expected) => {
    expect(addresses(name)).toEqual(expected);
  });

  it('answers with authority, a short TTL and the case of the question', () => {
    const reply = answered(question('Api.WEB'));
    expect(reply).toMatchObject({ id: 0x1234, rcode: 'NOERROR', flag_aa: true, flag_ra: true, flag_rd: true });
    expect(reply.questions).toMatchObject([{ name: 'Api.WEB', type: 'A', class: 'IN' }]);
    expect(reply.answers).toMatchObject([{ name: 'Api.WEB', type: 'A', ttl: 5, data: '10.0.1.2' }]);
  });

  it('begins with a different address each time', () => {
    const first = (random: number) => addressesIn(answered(question('backend'), { random }))[0];
    expect([first(0), first(0.99)]).toEqual(['10.0.1.2', '10.0.1.3']);
  });

  it.each<RecordType>(['AAAA', 'TXT', 'MX', 'SRV', 'UNKNOWN_65' as RecordType, 'PTR', 'NS', 'SOA'])(
    '%s of a known name is empty, with an SOA for the negative TTL, and stays here',
    (type) => {
      for (const name of ['api', 'api.web', 'tasks.api']) {
        const reply = answered(question(name, type));
        expect(reply).toMatchObject({ rcode: 'NOERROR', answers: [] });
        expect(reply.authorities).toMatchObject([{ type: 'SOA', ttl: 5, data: { minimum: 5 } }]);
      }
    },
  );

  it('names the network as the zone of a negative answer, the root for bare names', () => {
    const owner = (name: string) => answered(question(name, 'AAAA')).authorities?.[0]?.name;
    expect([owner('api.Web'), owner('api')]).toEqual(['Web', '.']);
  });

  it('does not deny the network name, below which names exist', () => {
    expect(rcode('web')).toBe('NOERROR');
    expect(rcode('tasks.web')).toBe('NOERROR');
  });
});

describe('names that are not there', () => {
  it.each(['nope', 'nope.web', 'a.nope.web', 'tasks.nope.web', 'com', '_http._tcp.nope', '_http._tcp.api', '_x'])(
    '%s does not exist and is never forwarded',
    (name) => {
      const reply = answered(question(name));
      expect(reply).toMatchObject({ rcode: 'NXDOMAIN', answers: [] });
      expect(reply.authorities).toMatchObject([{ type: 'SOA', ttl: 5 }]);
    },
  );

  it.each(['example.com', 'www.example.com', 'webx.example', 'nope.db', '_dmarc.example.com', '.'])(
    '%s is the upstream servers’ business',
    (name) => {
      expect(ask(question(name))).toBe('forward');
    },
  );
});

describe('suspect members', () => {
  it('have their names hidden, not handed to others', () => {
    expect(rcode('far')).toBe('NXDOMAIN');
    expect(rcode('far.example.com')).toBe('NXDOMAIN');
    expect(rcode('4.1.0.10.in-addr.arpa', 'PTR')).toBe('NXDOMAIN');
  });

  it('have them back at once', () => {
    const zones: [Zone] = [zone('w1', [])];
    expect(addresses('far.example.com', { zones })).toEqual(['10.0.1.4']);
    expect(addresses('backend', { zones })).toHaveLength(3);
  });
});

describe('addresses', () => {
  it('point to the first name and the network', () => {
    const reply = answered(question('3.1.0.10.in-addr.arpa', 'PTR'));
    expect(reply.answers).toMatchObject([{ type: 'PTR', data: 'shop.Web', ttl: 5 }]);
  });

  it.each(['1.1.0.10.in-addr.arpa', '99.1.0.10.in-addr.arpa', 'x.2.1.0.10.in-addr.arpa', '300.1.0.10.in-addr.arpa'])(
    '%s of our subnet does not exist',
    (name) => {
      expect(answered(question(name, 'PTR'))).toMatchObject({
        rcode: 'NXDOMAIN',
        authorities: [{ name: 'in-addr.arpa', type: 'SOA' }],
      });
    },
  );

  it('have nothing but a pointer', () => {
    expect(answered(question('3.1.0.10.in-addr.arpa', 'A'))).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(answered(question('1.0.10.in-addr.arpa', 'SOA'))).toMatchObject({ rcode: 'NOERROR', answers: [] });
  });

  it.each(['3.9.0.10.in-addr.arpa', '8.8.8.8.in-addr.arpa', '0.10.in-addr.arpa', '1.0.ip6.arpa'])(
    '%s elsewhere is forwarded',
    (name) => {
      expect(ask(question(name, 'PTR'))).toBe('forward');
    },
  );

  it('have no name when they are another network’s, and are not forwarded', () => {
    expect(rcode('2.2.0.10.in-addr.arpa', 'PTR')).toBe('NXDOMAIN');
  });
});

describe('internal networks', () => {
  const zones: [Zone] = [db];
  it.each<[string, RecordType]>([
    ['example.com', 'A'],
    ['8.8.8.8.in-addr.arpa', 'PTR'],
    ['.', 'NS'],
    ['_dmarc.example.com', 'TXT'],
  ])('refuse %s %s, by UDP and TCP', (name, type) => {
    expect(rcode(name, type, { zones })).toBe('REFUSED');
    expect(rcode(name, type, { zones, transport: 'tcp' })).toBe('REFUSED');
  });

  it('refuse nothing to a container that has a way out by another network, and tell nothing of ours', () => {
    const hasWayOut = () => true;
    expect(ask(question('example.com', 'A'), { zones, hasWayOut })).toBe('forward');
    expect(rcode('nope', 'A', { zones, hasWayOut })).toBe('NXDOMAIN');
    expect(rcode('9.2.0.10.in-addr.arpa', 'PTR', { zones, hasWayOut })).toBe('NXDOMAIN');
  });

  it('answer their own names', () => {
    expect(addresses('pg', { zones })).toEqual(['10.0.2.2']);
    expect(rcode('nope', 'A', { zones })).toBe('NXDOMAIN');
  });
});

describe('a container on several networks', () => {
  const zones: [Zone, Zone] = [db, web];
  it('finds the names of all of them, the asked network first', () => {
    expect(addresses('pg', { zones })).toEqual(['10.0.2.2']);
    expect(addresses('shop', { zones })).toEqual(['10.0.1.3']);
    expect(addresses('api', { zones })).toEqual(['10.0.2.3']);
    expect(addresses('api.web', { zones })).toEqual(['10.0.1.2']);
    expect(addresses('api', { zones: [web, db] })).toEqual(['10.0.1.2']);
    expect(rcode('nope.web', 'A', { zones })).toBe('NXDOMAIN');
    expect(answered(question('3.1.0.10.in-addr.arpa', 'PTR'), { zones }).answers).toMatchObject([{ data: 'shop.Web' }]);
  });

  it('may ask upstream servers when one of them may', () => {
    expect(ask(question('example.com'), { zones })).toBe('forward');
  });
});

describe('who and what is answered', () => {
  it('ignores whoever is not on the asked network', () => {
    for (const address of ['10.0.3.2', '192.0.2.1', '::1', '']) {
      expect(ask(question('api'), { address })).toBe('dropped');
    }
    expect(ask(question('api'), { zones: [db, web], address: '10.0.1.2' })).toBe('dropped');
  });

  it('ignores replies', () => {
    expect(ask(question('api', 'A', { type: 'response' }))).toBe('dropped');
  });

  it('refuses other operations, classes, transfers and EDNS versions with the code for each', () => {
    const changed = (at: number, byte: number) => {
      const message = question('api');
      message[at] = byte;
      return answered(message).rcode;
    };
    expect(changed(2, 0x29)).toBe('NOTIMP');
    expect(changed(5, 2)).toBe('FORMERR');
    expect(changed(question('api').length - 1, 3)).toBe('REFUSED');
    expect(rcode('api', 'AXFR')).toBe('REFUSED');
    const later = question('api', 'A', edns(1232));
    later[later.length - 5] = 1;
    const reply = answered(later);
    expect(reply.additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1 }]);
  });

  it('gives a question for anything the least there is', () => {
    expect(answered(question('api', ANY)).answers).toMatchObject([{ type: 'HINFO', data: { cpu: 'RFC8482' } }]);
    expect(rcode('nope', ANY)).toBe('NXDOMAIN');
  });
});

describe('four hundred addresses', () => {
  const many: Asking = { zones: [zone('m1')], address: '10.7.9.9' };
  const sizes = (message: Uint8Array, asking: Asking) => {
    const reply = answered(message, { ...many, ...asking });
    const given = addressesIn(reply);
    expect(new Set(given).size).toBe(given.length);
    return { truncated: reply.flag_tc, count: given.length };
  };

  it('are cut with TC on UDP and whole on TCP', () => {
    for (const random of [0, 0.5, 0.999]) {
      expect(sizes(question('all'), { random })).toEqual({ truncated: true, count: 30 });
      expect(sizes(question('all', 'A', edns(4096)), { random })).toEqual({ truncated: true, count: 75 });
      expect(sizes(question('all'), { random, transport: 'tcp' })).toEqual({ truncated: false, count: 400 });
    }
  });

  it('never make a datagram above the limit', () => {
    const reply = resolve(question('all', 'A', edns(4096)), { ...many, transport: 'udp' } as never, () => 0.7);
    expect((reply as Uint8Array).length).toBeLessThanOrEqual(1232);
  });
});
