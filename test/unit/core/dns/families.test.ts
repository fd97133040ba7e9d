/** Names and addresses of both families, through what is told over the line. */
import type { RecordType } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { resolve } from '../../../../src/core/dns/resolve.ts';
import type { Zone } from '../../../../src/core/dns/zone.ts';
import { fakeView } from './fake-view.ts';
import { edns, question, read } from './messages.ts';
import { buildZone } from './zone-of.ts';

const many = Array.from({ length: 200 }, (_, i) => ({
  address: `fd00:1::1:${i.toString(16)}`,
  name: `m${i}`,
  aliases: ['all'],
}));
const view = fakeView([
  {
    ...{ id: 'w', name: 'web', cidr: '10.0.1.0/24', cidr6: 'fd00:1::/64' },
    endpoints: [
      { address: '10.0.1.2', name: 'both', aliases: ['any'] },
      { address: 'fd00:1::2', name: 'both', aliases: ['any'] },
      { address: 'fd00:1::3', name: 'six', aliases: ['any'] },
      { address: '10.0.1.4', name: 'four' },
      { address: 'fd00:1::5', name: 'far', nodeId: 'suspect' },
      ...many,
    ],
  },
  { id: 'd', name: 'db', cidr: 'fd00:2::/64', endpoints: [{ address: 'fd00:2::7', name: 'pg' }] },
]);
const zone = (id: string) => buildZone({ view, hidden: () => new Set(['suspect']) }, id, { ttlSeconds: 5 }) as Zone;
const [web, db] = [zone('w'), zone('d')];

function ask(
  name: string,
  type: RecordType,
  { from = 'fd00:1::2', random = 0, change = {}, transport = 'udp' as 'udp' | 'tcp' } = {},
) {
  const asker = { address: from, transport, zones: [web, db] as const, isOverlay: () => false };
  const reply = resolve(question(name, type, change), asker, () => random);
  return reply instanceof Uint8Array ? read(reply) : reply === undefined ? 'dropped' : 'forward';
}

function answer(name: string, type: RecordType, options: Parameters<typeof ask>[2] = {}) {
  const reply = ask(name, type, options);
  if (typeof reply === 'string') throw new Error(reply);
  return reply;
}

const data = (name: string, type: RecordType, options: Parameters<typeof ask>[2] = {}) =>
  answer(name, type, options).answers!.map((each) => ('data' in each ? each.data : undefined));

describe('a name', () => {
  it('has the addresses of the family that is asked for', () => {
    expect(data('both', 'A')).toEqual(['10.0.1.2']);
    expect(data('both', 'AAAA')).toEqual(['fd00:1::2']);
    expect(data('any', 'A')).toEqual(['10.0.1.2']);
    expect(data('any', 'AAAA')).toEqual(['fd00:1::2', 'fd00:1::3']);
    expect(data('any.web.overlayd.internal', 'AAAA', { random: 0.5 })).toEqual(['fd00:1::3', 'fd00:1::2']);
    expect(data('pg.db', 'AAAA')).toEqual(['fd00:2::7']);
    expect(answer('both', 'AAAA').answers).toMatchObject([{ name: 'both', type: 'AAAA', ttl: 5, class: 'IN' }]);
  });

  it('of one family alone is there, with nothing of the other one, and for so long', () => {
    for (const [name, type] of [
      ['six', 'A'],
      ['four', 'AAAA'],
      ['pg', 'A'],
    ] as const) {
      const reply = answer(name, type);
      expect(reply).toMatchObject({ rcode: 'NOERROR', answers: [], authorities: [{ type: 'SOA', ttl: 5 }] });
    }
    expect(answer('far', 'AAAA').rcode).toBe('NXDOMAIN');
    expect(answer('nobody', 'AAAA').rcode).toBe('NXDOMAIN');
  });

  it('with two hundred addresses is cut by UDP, never above the limit, and whole by TCP', () => {
    for (const [change, most] of [
      [{}, 512],
      [edns(1232), 1232],
    ] as const) {
      const message = question('all', 'AAAA', change);
      const asker = { address: 'fd00:1::2', transport: 'udp' as const, zones: [web] as const };
      const reply = resolve(message, asker, () => 0.999) as Uint8Array;
      expect(reply.length).toBeLessThanOrEqual(most);
      expect(reply.length).toBeGreaterThan(most - 28 - 11);
      expect(read(reply)).toMatchObject({ flag_tc: true });
    }
    const whole = answer('all', 'AAAA', { transport: 'tcp', random: 0.4 });
    expect(whole).toMatchObject({ flag_tc: false });
    expect(new Set(whole.answers!.map((each) => 'data' in each && each.data)).size).toBe(200);
  });
});

describe('an address of IPv6', () => {
  const reverse = (address: string) => {
    const [head = '', tail = ''] = address.split('::');
    const groups = [head.split(':'), tail.split(':')].map((part) => part.filter((group) => group !== ''));
    const zeros = Array.from({ length: 8 - groups[0]!.length - groups[1]!.length }, () => '0');
    const digits = [...groups[0]!, ...zeros, ...groups[1]!].map((group) => group.padStart(4, '0')).join('');
    return `${[...digits].reverse().join('.')}.ip6.arpa`;
  };

  it('points to its name', () => {
    expect(data(reverse('fd00:1::3'), 'PTR')).toEqual(['six.web']);
    expect(data(reverse('fd00:1::3').toUpperCase(), 'PTR')).toEqual(['six.web']);
    expect(data(reverse('fd00:2::7'), 'PTR')).toEqual(['pg.db']);
  });

  it('of ours without a name has none, and nobody else is asked', () => {
    for (const address of ['fd00:1::99', 'fd00:2::1', 'fd00:1::5']) {
      const reply = answer(reverse(address), 'PTR');
      expect(reply).toMatchObject({ rcode: 'NXDOMAIN', authorities: [{ type: 'SOA', name: 'ip6.arpa' }] });
    }
    expect(answer(reverse('fd00:1::3'), 'A')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(answer(reverse('fd00:1::3').slice(8), 'PTR')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(ask(reverse('2001:db8::1'), 'PTR')).toBe('forward');
    expect(ask(reverse('fd00:1::3').slice(-20), 'PTR')).toBe('forward');
  });

  it('is answered when it is on the network', () => {
    expect(data('four', 'A', { from: 'fd00:1::abcd' })).toEqual(['10.0.1.4']);
    expect(data('six', 'AAAA', { from: '10.0.1.9' })).toEqual(['fd00:1::3']);
    for (const from of ['fd00:2::7', 'fe80::1', '2001:db8::1', '::ffff:10.0.1.2']) {
      expect(ask('six', 'AAAA', { from })).toBe('dropped');
    }
  });
});
