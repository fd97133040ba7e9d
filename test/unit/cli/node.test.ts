import { expect, it } from 'vitest';
import { VERSION } from '../../../src/version.ts';
import { endpoint, NODE_ID, node, run, status } from './fake-agent.ts';

it('node update asks for labels and the name', async () => {
  const { asked, out } = await run(
    'node update --label-add rack=7 --label-add ssd --label-rm old --label-rm older --name db1 self',
  );
  expect(asked).toEqual([
    ['updateNode', { ref: 'self', labels: { rack: '7', ssd: '' }, labelsRemoved: ['old', 'older'], name: 'db1' }],
  ]);
  expect(out).toBe('db1\n');
});

it.each([
  ['node update host2', 'nothing is to be changed; give --label-add, --label-rm or --name'],
  ['node update --role manager host2', 'hosts keep the store by `overlayd node promote` and `overlayd node demote`'],
  ['node update --availability drain host2', '--availability is not supported'],
  ['node update --label-add =x host2', 'The key is missing'],
])('%s is refused', async (line, message) => {
  const { code, error, asked } = await run(line);
  expect([code, asked]).toEqual([2, []]);
  expect(error).toContain(message);
});

it.each(['node ls', 'status'])('%s says that the agent is of another release, and how to end that', async (line) => {
  const older = { ...node, version: '0.0.9' };
  const answers = { listNodes: () => ({ nodes: [older] }), getStatus: () => ({ ...status, version: '0.0.9' }) };
  const { error } = await run(line, { answers });
  expect(error).toBe(
    `note: this command is overlayd ${VERSION}, the agent of this host runs 0.0.9; restart it: systemctl restart overlayd\n`,
  );
  expect((await run(line)).error).toBe('');
});

it('self is this host in filters', async () => {
  const answers = {
    listEndpoints: () => ({
      endpoints: [endpoint, { ...endpoint, id: '7'.repeat(64), nodeName: 'host2', nodeId: 'x' }],
    }),
  };
  for (const line of ['endpoint ls', 'ps']) {
    const { asked, out } = await run([...line.split(' '), '--filter', 'node=self', '--format', '{{.Node}}'], {
      answers,
    });
    expect(out).toBe('host1\n');
    expect(asked).toContainEqual(['getNode', { ref: 'self' }]);
  }
  const { asked } = await run('events --filter node=self --filter node=host3');
  expect(asked.at(-1)).toMatchObject(['followEvents', { query: { nodes: ['host1', 'host3'] } }]);
  expect((await run('ps')).asked.map(([method]) => method)).toEqual(['listEndpoints']);
  expect(NODE_ID).toBe(node.id);
});
