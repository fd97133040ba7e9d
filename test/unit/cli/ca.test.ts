import { expect, test } from 'vitest';
import { OverlaydError } from '../../../src/core/errors.ts';
import { caStatus, run } from './fake-agent.ts';

test('the CA is shown with what is waited for, host by host', async () => {
  const { code, out } = await run('ca status');
  expect(code).toBe(0);
  expect(out).toContain(`Next CA:      ${caStatus.nextDigest}`);
  expect(out).toContain('waiting for host2 (down)');
  expect(out).toMatch(/host1 +ready +yes +yes +no\n/);
  expect(out).toMatch(/host2 +down +no +no +no\n/);
});

test('while nothing is replaced nothing is said of the next one', async () => {
  const idle = { ...caStatus, nextDigest: '', phase: '', waiting: '' };
  const { out } = await run('ca status', { answers: { getCa: () => idle } });
  expect(out).not.toMatch(/next/i);
});

test('rotate ends with what is to be done next, or with the whole status', async () => {
  expect((await run('ca rotate')).out).toContain('Make new join tokens: overlayd token create');
  const { out } = await run('ca rotate --format json');
  expect(JSON.parse(out)).toMatchObject({
    Phase: 'trust',
    Nodes: [{ Name: 'host1', Keeper: true }, { Awaited: true }],
  });
});

test('the CA is replaced after a node was removed, where that is asked for, and not where it was not removed', async () => {
  const { asked, code } = await run('node rm --rotate-ca host1');
  expect(code).toBe(0);
  expect(asked.map(([method]) => method)).toEqual(['removeNode', 'rotateCa']);
  expect((await run('node rm host1')).asked.map(([method]) => method)).toEqual(['removeNode']);
  const removeNode = () => {
    throw new OverlaydError('conflict', 'it is up');
  };
  const failed = await run('node rm --rotate-ca host1', { answers: { removeNode } });
  expect(failed.code).not.toBe(0);
  expect(failed.asked.map(([method]) => method)).toEqual(['removeNode']);
});
