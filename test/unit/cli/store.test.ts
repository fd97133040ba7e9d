import { expect, it } from 'vitest';
import { run } from './fake-agent.ts';

const done = { clusterId: 'c1d2', nodeId: 'n1', nodeName: 'host1', joinCommand: '', warnings: [] };

it('backup writes a file, or standard output', async () => {
  const written: [string, string][] = [];
  const answers = { backUpStore: () => ({ text: 'line\n', records: 7 }) };
  const surroundings = { writeFile: async (...file: [string, string]) => void written.push(file) };
  const { asked, out } = await run('store backup --from-here /b', { answers, surroundings });
  expect(asked).toEqual([['backUpStore', { fromHere: true }]]);
  expect(written).toEqual([['/b', 'line\n']]);
  expect(out).toBe('7 records written to /b.\n');
  expect((await run('store backup -', { answers })).out).toBe('line\n');
  const json = await run('store backup --format json /b', { answers, surroundings });
  expect(JSON.parse(json.out)).toEqual({ File: '/b', Records: 7 });
  expect(await run('store backup --format json -', { answers })).toMatchObject({ code: 2 });
});

it('a backup that cannot be written says why', async () => {
  const surroundings = {
    writeFile: async () => {
      throw new Error("ENOSPC: no space left on device, open '/b'");
    },
  };
  const { code, error } = await run('store backup /b', {
    answers: { backUpStore: () => ({ text: 'line\n', records: 7 }) },
    surroundings,
  });
  expect({ code, error }).toEqual({
    code: 1,
    error: "overlayd: the backup cannot be written: ENOSPC: no space left on device, open '/b'\n",
  });
});

it.each([
  ['store restore /b', { backup: 'text of /b', newStore: false }],
  ['store restore - --new-store', { backup: 'text of -', newStore: true }],
  ['store restore --from-here --new-store', { backup: undefined, newStore: true }],
])('%s asks for that', async (line, request) => {
  const warnings = ['what is put back has no network later'];
  const { asked, error, out } = await run(line, {
    answers: { restoreStore: () => ({ ...done, warnings }) },
    surroundings: { readFile: async (path) => `text of ${path}` },
  });
  expect(asked).toEqual([['restoreStore', request]]);
  expect([out, error]).toEqual(['The store is restored.\n', 'warning: what is put back has no network later\n']);
});

it.each([
  ['store move --bundled', { etcdEndpoints: [], etcdCa: '', etcdCert: '', etcdKey: '' }],
  ['store move --etcd http://a:2379', { etcdEndpoints: ['http://a:2379'], etcdCa: '', etcdCert: '', etcdKey: '' }],
])('%s asks for that', async (line, request) => {
  const { asked, out } = await run(`${line} --format json`, { answers: { moveStore: () => done } });
  expect(asked).toEqual([['moveStore', request]]);
  expect(JSON.parse(out)).toEqual({ ClusterID: 'c1d2', NodeName: 'host1', Warnings: [] });
});

it.each([
  ['store restore', 'give a file, or --from-here'],
  ['store restore /b --from-here', 'exclude each other'],
  ['store move', 'give --etcd or --bundled'],
  ['store move --bundled --etcd http://a:2379', 'give --etcd or --bundled'],
])('%s is refused', async (line, why) => {
  const { asked, code, error } = await run(line);
  expect([code, asked]).toEqual([2, []]);
  expect(error).toContain(why);
});

it('init takes over what a backup has', async () => {
  const { asked } = await run('init --from-backup /b', {
    surroundings: { readFile: async (path) => `text of ${path}` },
  });
  expect(asked[0]![1]).toMatchObject({ backup: 'text of /b' });
});
