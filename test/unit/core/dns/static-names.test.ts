import { describe, expect, it } from 'vitest';
import {
  MOST_STATIC_VALUES,
  parseStaticSet,
  type StaticRequest,
  withoutStatic,
  withStaticSet,
} from '../../../../src/core/dns/static-names.ts';
import type { StaticSet } from '../../../../src/core/records.ts';

const WEB = { name: 'Web' };
const parse = (name: string, type: string, ...values: readonly string[]) => parseStaticSet({ name, type, values }, WEB);
const refusal = (code: string, message: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });

describe('a static name', () => {
  it.each<[string, string]>([
    ['db', 'db'],
    ['DB.', 'db'],
    ['db.web', 'db'],
    ['db.Web.overlayd.internal', 'db'],
    ['www.example.com', 'www.example.com'],
    ['_http._tcp.api', '_http._tcp.api'],
    ['_http._tcp.web', '_http._tcp.web'],
    ['_http._tcp.api.web.overlayd.internal.', '_http._tcp.api'],
  ])('%s is kept as %s', (given, name) => {
    expect(parse(given, 'a', '192.0.2.9')).toEqual({ name, type: 'A', values: ['192.0.2.9'] });
  });

  it.each<[string, string]>([
    ['*.db', 'is a pattern'],
    ['', 'is not valid'],
    ['d b', 'is not valid'],
    ['a..b', 'is not valid'],
    [`${'a'.repeat(60)}.`.repeat(4), 'is not valid'],
    ['web', 'is no name of the network web'],
    ['x.db.overlayd.internal', 'is no name of the network web'],
    ['localhost', 'own name'],
    ['tasks.db', 'leave tasks. out'],
    ['9.2.0.192.in-addr.arpa', 'follows from A and AAAA records'],
  ])('is not %s', (name, message) => {
    expect(() => parse(name, 'A', '192.0.2.9')).toThrow(refusal('invalid-name', message));
  });
});

describe('values', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['A', ['192.0.2.9', '192.0.2.9', '10.0.0.1'], ['192.0.2.9', '10.0.0.1']],
    ['AAAA', ['2001:DB8:0::9'], ['2001:db8::9']],
    ['CNAME', ['Db.web'], ['db']],
    ['TXT', ['v=1 "a"', ''], ['v=1 "a"', '']],
    ['SRV', ['0 5 8080 API'], ['0 5 8080 api']],
    ['SRV', ['0', '5', '8080', 'api', '1 05 80 www.example.com.'], ['0 5 8080 api', '1 5 80 www.example.com']],
    ['SRV', ['0 0 1 .', '0 0 2 api.web.overlayd.internal'], ['0 0 1 .', '0 0 2 api']],
  ])('of %s: %j', (type, given, values) => {
    expect(parse('x', type, ...given).values).toEqual(values);
  });

  it.each<[string, readonly string[], string, string]>([
    ['A', ['2001:db8::9'], 'invalid-address', 'A: "2001:db8::9" is not an IPv4 address'],
    ['AAAA', ['192.0.2.9'], 'invalid-address', 'is not an IPv6 address'],
    ['AAAA', ['::ffff:192.0.2.9'], 'invalid-address', 'write 192.0.2.9'],
    ['CNAME', ['*.x'], 'invalid-name', 'the name that a CNAME stands for: "*.x" is a pattern'],
    ['TXT', ['ü'], 'invalid-argument', 'ASCII'],
    ['TXT', ['x'.repeat(513)], 'invalid-argument', 'at most 512 characters'],
    ['SRV', ['0 5 api'], 'invalid-argument', 'like 0 5 8080 web'],
    ['SRV', ['0 5 65536 api'], 'invalid-argument', 'is not priority, weight, port and host'],
    ['SRV', ['0 5 80 api 1'], 'invalid-argument', '"1" is not'],
    ['SRV', [], 'invalid-argument', 'a value is missing'],
    ['MX', ['x'], 'invalid-argument', 'there is A, AAAA, CNAME, TXT, SRV'],
    ['constructor', ['x'], 'invalid-argument', 'there is A'],
  ])('of %s are not %j', (type, values, code, message) => {
    expect(() => parse('x', type, ...values)).toThrow(refusal(code, message));
  });

  it('live for whole seconds, a day at most', () => {
    const of = (ttlSeconds: number) => parseStaticSet({ name: 'x', type: 'A', values: ['192.0.2.9'], ttlSeconds }, WEB);
    expect(of(0).ttlSeconds).toBe(0);
    for (const wrong of [-1, 1.5, 86_401]) expect(() => of(wrong)).toThrow(refusal('invalid-argument', '--ttl'));
  });
});

describe('sets of a network', () => {
  const build = (...requests: readonly StaticRequest[]) =>
    requests.reduce<readonly StaticSet[]>((sets, request) => withStaticSet(sets, parseStaticSet(request, WEB)), []);
  const a = (name: string, ...values: readonly string[]) => ({ name, type: 'A', values });
  const alias = (name: string, target: string) => ({ name, type: 'CNAME', values: [target] });

  it('grow by values, keep what others wrote, and take the newest time to live', () => {
    const newer = { name: 'db', type: 'A', values: ['192.0.2.1'], ttlSeconds: 9, weight: 7 };
    const [set] = withStaticSet([newer], parse('db', 'A', '192.0.2.2', '192.0.2.1'));
    expect(set).toEqual({ ...newer, values: ['192.0.2.1', '192.0.2.2'] });
    const [again] = withStaticSet([newer], { name: 'db', type: 'A', values: ['192.0.2.1'], ttlSeconds: 60 });
    expect(again).toEqual({ ...newer, ttlSeconds: 60 });
  });

  it('have no alias beside other records, of two names, in a circle, or behind too many', () => {
    const db = build(a('db', '192.0.2.1'), alias('sql', 'db'));
    const refused = (sets: readonly StaticSet[], request: StaticRequest, message: string) =>
      expect(() => withStaticSet(sets, parseStaticSet(request, WEB))).toThrow(refusal('name-in-use', message));
    refused(db, alias('db', 'x'), 'db has A: an alias (CNAME) has no records beside it');
    refused(db, { name: 'sql', type: 'TXT', values: ['x'] }, 'sql has CNAME');
    refused(db, alias('sql', 'x'), 'sql can stand for one name alone, db');
    refused([], alias('x', 'x'), 'in a circle lead nowhere: x -> x');
    refused(build(alias('a', 'b'), alias('b', 'c')), alias('c', 'a'), 'lead nowhere: ');
    const chain = build(...Array.from({ length: 8 }, (_, i) => alias(`n${i}`, `n${i + 1}`)));
    refused(chain, alias('n8', 'n9'), 'more than 8 aliases one behind the other');
    refused(chain, alias('first', 'n0'), 'more than 8 aliases');
    expect(withStaticSet(db, parseStaticSet(alias('sql', 'DB.web'), WEB))).toEqual(db);
  });

  it('are so many, and no more', () => {
    const most = Array.from({ length: MOST_STATIC_VALUES }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const full = build(a('all', ...most));
    expect(() => withStaticSet(full, parse('x', 'A', '192.0.2.1'))).toThrow(
      refusal('too-many-names', 'at most 256 static records, and this would be number 257'),
    );
  });

  it('shrink by a name, a type or values, and by nothing that is not there', () => {
    const sets = build(
      a('db', '192.0.2.1', '192.0.2.2'),
      { name: 'db', type: 'TXT', values: ['x'] },
      a('y', '192.0.2.1'),
    );
    const left = (name: string, type?: 'A' | 'SRV' | 'TXT', ...values: readonly string[]) =>
      withoutStatic(sets, { name, type, values }).map((set) => [set.name, set.type, ...set.values].join(' '));
    expect(left('db')).toEqual(['y A 192.0.2.1']);
    expect(left('db', 'A')).toEqual(['db TXT x', 'y A 192.0.2.1']);
    expect(left('db', 'A', '192.0.2.1')).toEqual(['db A 192.0.2.2', 'db TXT x', 'y A 192.0.2.1']);
    expect(left('db', 'TXT', 'x')).toEqual(['db A 192.0.2.1 192.0.2.2', 'y A 192.0.2.1']);
    expect(() => left('z')).toThrow(refusal('name-not-found', 'no static record z;'));
    expect(() => left('db', 'SRV')).toThrow(refusal('name-not-found', 'no static record db SRV'));
    expect(() => left('db', 'A', '192.0.2.3')).toThrow(refusal('name-not-found', 'db A 192.0.2.3'));
  });
});
