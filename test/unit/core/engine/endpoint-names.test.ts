import { expect, test } from 'vitest';
import { endpointNames } from '../../../../src/core/engine/endpoint-names.ts';

const ID = '0123456789abcdef'.repeat(4);
const SHORT = '0123456789ab';
const container = (name: string, hostname = '') => ({ id: ID, name, hostname });

test.each([
  [
    'the name first, then aliases, host name and short id',
    'api',
    ['db', 'pg'],
    'box',
    'api',
    ['db', 'pg', 'box', SHORT],
  ],
  ['each once, whatever its case, as the first one has it', 'Api', ['DB', 'db', 'api'], SHORT, 'Api', ['DB', SHORT]],
  ['dots and underscores', 'shop_db.1', ['a.b.example', '_x'], '', 'shop_db.1', ['a.b.example', '_x', SHORT]],
  ['none that is none in the DNS', 'api', ['a b', 'ä', '', '.', 'a..b', 'x'.repeat(64)], '', 'api', [SHORT]],
  ['never localhost', 'api', ['localhost', 'LocalHost'], 'localhost', 'api', [SHORT]],
  ['the first alias when the name is none', 'localhost', ['db'], '', 'db', [SHORT]],
  ['the short id when there is nothing else', '', [], '', SHORT, []],
])('%s', (_, name, aliases, hostname, expected, others) => {
  expect(endpointNames(container(name, hostname), aliases)).toEqual({ name: expected, aliases: others });
});

test('a record stays small', () => {
  const many = Array.from({ length: 100 }, (_, i) => `alias-${i}`);
  const { aliases } = endpointNames(container('api'), many);
  expect(aliases).toEqual(many.slice(0, 32));
});
