import { expect, it } from 'vitest';
import { formatNamedContainer, isWrittenAsNamespace, parseNamedContainer } from '../../../src/core/named-container.ts';

it.each([
  ['machine:build', { kind: 'machine', name: 'build' }],
  ['lxc:db', { kind: 'lxc', name: 'db' }],
  ['lxc:db@4711', { kind: 'lxc', name: 'db', pid: 4711 }],
  ['incus:db', { kind: 'incus', name: 'db' }],
  ['incus:team_a/db-1', { kind: 'incus', name: 'team_a/db-1' }],
])('reads %s', (text, named) => {
  expect(parseNamedContainer(text)).toEqual(named);
  expect(formatNamedContainer(parseNamedContainer(text)!)).toBe(text.split('@')[0]);
});

it.each(['lxc:', 'lxc:a/b', 'lxc:db@0', 'lxc:db@x', 'machine:build@1', 'incus:a/b/c', 'incus:/db', 'incus:-db', 'db'])(
  'does not take %s for one',
  (text) => {
    expect(parseNamedContainer(text)).toBeUndefined();
  },
);

it('tells what is written as a namespace, well or not, from what is Docker’s', () => {
  expect(['netns:c1', 'pid:1', 'lxc:', 'incus:a/b/c', 'machine:x'].every(isWrittenAsNamespace)).toBe(true);
  expect(['api', 'docker:api', 'lxcdb'].some(isWrittenAsNamespace)).toBe(false);
});
