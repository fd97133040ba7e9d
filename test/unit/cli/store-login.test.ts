import { expect, it } from 'vitest';
import { run } from './fake-agent.ts';

const done = { clusterId: 'c1d2', nodeId: 'n1', nodeName: 'host1', joinCommand: '', warnings: [] };
const PEM = '-----BEGIN CERTIFICATE-----';
const answers = {
  getStoreRoles: ({ byId }: { byId: boolean }) => ({
    roles: [{ name: 'r1', permissions: [{ type: 'write', key: '/k', prefix: true }] }],
    users: [{ name: byId ? 'n1' : 'host1', roles: ['r1', 'root'] }],
    commands: ['etcdctl role add r1', `etcdctl user add ${byId ? 'n1' : 'host1'} --no-password`],
    joiningRoles: ['r1', 'r2'],
  }),
};

it('roles prints a script, of users by name or by id', async () => {
  const { asked, out } = await run('store roles', { answers });
  expect(asked).toEqual([['getStoreRoles', { byId: false }]]);
  expect(out).toContain('\netcdctl user add host1 --no-password\n');
  expect(out).toContain('#   etcdctl user revoke-role CN r2\n');
  // All of it can be run: what is not to be is a comment.
  for (const line of out.trim().split('\n')) expect(line).toMatch(/^(etcdctl .*|#.*|)$/);
  expect(JSON.parse((await run('store roles --user-by id --format json', { answers })).out)).toEqual({
    Roles: [{ Name: 'r1', Permissions: [{ Type: 'write', Key: '/k', Prefix: true }] }],
    Users: [{ Name: 'n1', Roles: ['r1', 'root'] }],
    Commands: ['etcdctl role add r1', 'etcdctl user add n1 --no-password'],
  });
  expect(await run('store roles --user-by mac', { answers })).toMatchObject({ code: 2 });
});

it('login reads the files and asks for that', async () => {
  const { asked, out } = await run('store login --etcd-cert /c --etcd-key /k', {
    answers: { logInToStore: () => done },
    surroundings: { readFile: async (path) => `${PEM} ${path}` },
  });
  expect(asked).toEqual([['logInToStore', { etcdCa: '', etcdCert: `${PEM} /c`, etcdKey: `${PEM} /k` }]]);
  expect(out).toBe('This host has its own certificate for etcd now.\n');
  expect(await run('store login --etcd-cert /c', { answers: {} })).toMatchObject({ code: 2 });
});
