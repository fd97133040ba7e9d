import { describe, expect, it } from 'vitest';
import { run } from './fake-agent.ts';

describe('who keeps the store', () => {
  it('promotes and demotes, and says what is not so yet', async () => {
    const result = { clusterId: 'c1', nodeId: 'n2', nodeName: 'host2', joinCommand: '' };
    const promoteNode = ({ ref }: { ref: string }) => ({ ...result, warnings: ref === 'host2' ? [] : ['not yet'] });
    const { out, error, asked } = await run('node promote host2 host3', { answers: { promoteNode } });
    expect([out, error]).toEqual(['Node host2 keeps the store.\n', expect.stringContaining('not yet')]);
    expect(asked.map(([, request]) => request)).toEqual([{ ref: 'host2' }, { ref: 'host3' }]);
    const demoteNode = () => ({ ...result, warnings: [] });
    expect((await run('node demote host2', { answers: { demoteNode } })).out).toBe(
      'Node host2 keeps the store no more.\n',
    );
  });

  it('shows the members of the store, whichever of them answers', async () => {
    const member = {
      nodeName: 'host1',
      url: 'https://10.9.0.1:2379',
      role: 'leader',
      answers: true,
      version: '3.4.23',
    };
    const sizes = { size: 2 ** 21, sizeInUse: 2 ** 20, lag: 0, alarms: ['NOSPACE'] };
    const silent = { ...member, nodeName: 'host2', url: 'https://10.9.0.2:2379', role: 'voter', answers: false };
    const report = {
      ...{ bundled: true, wanted: 3, change: '', outlook: 'host2 does not answer: until then nothing is changed' },
      members: [
        { ...member, ...sizes },
        { ...silent, ...sizes, alarms: [] },
        { ...member, nodeName: 'host3', role: 'voter', version: '', size: 0, sizeInUse: 0, lag: 0, alarms: [] },
      ],
    };
    const { out } = await run('store status', { answers: { getStoreStatus: () => report } });
    expect(out.split('\n')).toEqual([
      'NODE    URL                     ROLE     ETCD        SIZE                  LAG',
      'host1   https://10.9.0.1:2379   leader   3.4.23      2.0 MiB, 1.0 in use   0',
      'host2   https://10.9.0.2:2379   voter    no answer   -                     -',
      'host3   https://10.9.0.1:2379   voter    -           -                     -',
      '',
      'Kept by 3 of 3 that are wanted.',
      'Note: host2 does not answer: until then nothing is changed',
      'Alarm of host1: NOSPACE',
      '',
    ]);
    const json = await run('store status --format json', { answers: { getStoreStatus: () => report } });
    expect(JSON.parse(json.out)).toMatchObject({
      Wanted: 3,
      Members: [{ Role: 'leader' }, { Answers: false }, { Version: '' }],
    });
    const { asked } = await run('store resize 5', { answers: { resizeStore: () => ({}) } });
    expect(asked).toEqual([['resizeStore', { members: 5 }]]);
  });
});
