import { expect, it } from 'vitest';
import { formatInstance, incusOwner, parseInstance } from '../../../../src/core/incus/owner.ts';
import { formatWish, parseWish, wishesIn, wishKey } from '../../../../src/core/incus/wish.ts';

it('reads networks by their keys, and no others', () => {
  const config = { 'user.overlayd.web': 'yes', 'user.overlayd.team.a': 'ip=10.0.0.9', 'user.overlayd.old': ' ' };
  expect(Object.fromEntries(wishesIn({ ...config, 'user.web': 'yes', 'limits.cpu': '2' }))).toEqual({
    web: 'yes',
    'team.a': 'ip=10.0.0.9',
  });
  expect(wishKey('web')).toBe('user.overlayd.web');
});

it.each(['yes', 'true', ' On ', '1'])('takes %s for a network without more', (text) => {
  expect(parseWish(text)).toEqual({ aliases: [], ports: [] });
});

it.each(['no', 'FALSE', 'off', '0', ' '])('takes %j for none', (text) => {
  expect(parseWish(text)).toBeUndefined();
});

it('says what connect would be given, and is written as it is read', () => {
  const wish = parseWish('name=sql alias=a,alias=b ip=10.0.0.9  ip6=fd00::9 ifname=lan0 gw-priority=-5 port=http=80');
  expect(wish).toEqual({
    ...{ name: 'sql', aliases: ['a', 'b'], ip: '10.0.0.9', ip6: 'fd00::9', ifname: 'lan0', gwPriority: -5 },
    ports: ['http=80'],
  });
  expect(parseWish(formatWish(wish!))).toEqual(wish);
  expect(formatWish({ aliases: [], ports: [] })).toBe('yes');
});

it.each([
  ['address=10.0.0.9', '"address=10.0.0.9" means nothing here'],
  ['ip=10.0.0.9 ip=10.0.0.10', '"ip=10.0.0.10"'],
  ['ip=', '"ip="'],
  ['maybe', 'write yes, no, or KEY=VALUE'],
  ['gw-priority=high', 'gw-priority=high'],
  ['constructor=x', '"constructor=x"'],
])('refuses %s', (text, words) => {
  expect(() => parseWish(text)).toThrow(words);
});

it('knows an instance by its project and name', () => {
  expect(parseInstance('db')).toEqual({ project: 'default', name: 'db' });
  expect(parseInstance('team/db')).toEqual({ project: 'team', name: 'db' });
  expect([parseInstance('db'), parseInstance('team/db')].map(formatInstance)).toEqual(['db', 'team/db']);
  expect(incusOwner('db', 'web', 'yes').key).not.toBe(incusOwner('db', 'web', 'ip=10.0.0.9').key);
});
