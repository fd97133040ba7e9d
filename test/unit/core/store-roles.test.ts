import { expect, test } from 'vitest';
import { keys } from '../../../src/core/records.ts';
import { allowsWrite } from '../../../src/core/store-rights.ts';
import { etcdctlLines, JOINING_ROLE, storeRoles } from '../../../src/core/store-roles.ts';

const NODES = [
  { id: 'n2', name: "h'2" },
  { id: 'n1', name: 'h1' },
];

test('each host is a user with its own role, and those with the CA’s key write all of the cluster’s, and nothing else', () => {
  const { roles, users } = storeRoles(NODES, ['n1'], ({ name }) => name);
  expect(users).toEqual([
    { name: "h'2", roles: ['overlayd-member', 'overlayd-node-n2'] },
    { name: 'h1', roles: ['overlayd-member', 'overlayd-node-n1', 'overlayd-keeper'] },
  ]);
  const permissions = (name: string) => roles.find((role) => role.name === name)!.permissions;
  const writes = (name: string, key: string) => allowsWrite(permissions(name), { kind: 'put', key });
  expect(writes('overlayd-node-n1', keys.node('n1'))).toBe(true);
  expect(writes('overlayd-node-n1', keys.node('n2'))).toBe(false);
  expect(writes('overlayd-member', keys.node('n1'))).toBe(false);
  for (const key of [keys.cluster, keys.token('t'), keys.node('n2')]) expect(writes('overlayd-keeper', key)).toBe(true);
  expect(writes('overlayd-keeper', '/elsewhere')).toBe(false);
  for (const key of [keys.node('n9'), keys.live('n9'), keys.endpointsOf('n9')])
    expect(writes(JOINING_ROLE, key)).toBe(true);
  for (const key of [keys.cluster, keys.token('t'), keys.network('n')]) expect(writes(JOINING_ROLE, key)).toBe(false);
});

test('the lines are those that etcdctl takes', () => {
  const lines = etcdctlLines(storeRoles(NODES, [], ({ name }) => name));
  expect(lines).toContain('etcdctl role add overlayd-node-n1');
  expect(lines).toContain('etcdctl role grant-permission overlayd-node-n1 write /overlayd/v2/nodes/n1');
  expect(lines).toContain(
    'etcdctl role grant-permission --prefix=true overlayd-node-n1 write /overlayd/v2/endpoints/n1/',
  );
  expect(lines).toContain('etcdctl role grant-permission --prefix=true overlayd-member read /overlayd/');
  expect(lines).toContain("etcdctl user add 'h'\\''2' --no-password");
  expect(lines).toContain('etcdctl user grant-role h1 overlayd-member');
});
