import { expect, test } from 'vitest';
import { resolveRef } from '../../../src/core/reference.ts';

const networks = [
  { id: 'ab12cd34ef56ab12', name: 'web' },
  { id: 'ab99cd34ef56ab12', name: 'db' },
  { id: 'cc00cd34ef56ab12', name: 'ab' },
];
const code = (value: string) => expect.objectContaining({ code: value });

test('a name, a whole id and a unique prefix each find the thing', () => {
  expect(resolveRef(networks, 'web', 'network').id).toBe('ab12cd34ef56ab12');
  expect(resolveRef(networks, 'ab99cd34ef56ab12', 'network').name).toBe('db');
  expect(resolveRef(networks, 'CC0', 'network').name).toBe('ab');
});

test('a name wins over a prefix of other ids', () => {
  expect(resolveRef(networks, 'ab', 'network').id).toBe('cc00cd34ef56ab12');
});

test('a prefix of several ids is refused and the candidates are listed', () => {
  const others = networks.slice(0, 2);
  expect(() => resolveRef(others, 'ab', 'network')).toThrow(code('ambiguous-id'));
  expect(() => resolveRef(others, 'ab', 'network')).toThrow(/ab12cd34ef56 \(web\), ab99cd34ef56 \(db\)/);
});

test('candidates are told apart by what is said of them, where their names are the same', () => {
  const both = [
    { id: 'aa11', name: 'api', of: 'web' },
    { id: 'bb22', name: 'api', of: 'db' },
  ];
  expect(() => resolveRef(both, 'api', 'endpoint', ({ of, name }) => `${of}/${name}`)).toThrow(
    /ambiguous: aa11 \(web\/api\), bb22 \(db\/api\)/,
  );
});

test('ids that agree in their first characters are shown as far as they differ', () => {
  const tokens = [{ id: 'aaaaaaaaaaaaaaaa1' }, { id: 'aaaaaaaaaaaaaaaa2' }];
  expect(() => resolveRef(tokens, 'a', 'token')).toThrow(/aaaaaaaaaaaaaaaa1, aaaaaaaaaaaaaaaa2/);
});

test('nothing found names what was looked for and how to list', () => {
  expect(() => resolveRef(networks, 'zz', 'network')).toThrow(code('network-not-found'));
  expect(() => resolveRef([], 'n1', 'node')).toThrow(/node n1 not found; `overlayd node ls`/);
  expect(() => resolveRef(networks, '', 'network')).toThrow(code('invalid-argument'));
});
