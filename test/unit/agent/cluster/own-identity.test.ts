import { expect, test } from 'vitest';
import type { IdentityState } from '../../../../src/agent/cluster/identity.ts';
import { OwnIdentity } from '../../../../src/agent/cluster/own-identity.ts';
import { ClusterFixture, memoryFile } from './cluster-fixture.ts';

async function owned() {
  const { identity } = await new ClusterFixture().found();
  const file = memoryFile<IdentityState>();
  return { identity, file, own: new OwnIdentity(file, identity) };
}

test('who changes one part keeps what another one changes at the same moment', async () => {
  const { file, own } = await owned();
  await Promise.all([
    own.change(async (before) => ({ ...before, certificate: 'new' })),
    own.change((before) => ({ ...before, vtep: '10.0.0.9' })),
  ]);
  expect(own.current).toMatchObject({ certificate: 'new', vtep: '10.0.0.9' });
  expect(file.content).toEqual(own.current);
});

test('what cannot be saved is not so, unless that is said', async () => {
  const { identity, file, own } = await owned();
  file.save = async () => {
    throw new Error('no space left on device');
  };
  const change = (before: typeof identity) => ({ ...before, vtep: '10.0.0.9' });
  await expect(own.change(change)).rejects.toThrow('no space');
  expect(own.current).toBe(identity);
  const told: unknown[] = [];
  await own.change(change, { unsaved: (error) => told.push(error) });
  expect([own.current.vtep, told.length]).toEqual(['10.0.0.9', 1]);
});

test('nothing is written when nothing changes', async () => {
  const { file, own } = await owned();
  await own.change((before) => before);
  expect(file.saves).toBe(0);
});
