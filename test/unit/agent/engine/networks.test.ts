import { expect, test } from 'vitest';
import { EngineNetworks, type EngineNetworksDeps } from '../../../../src/agent/engine/networks.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { silent } from '../../../sim/simulated-cluster.ts';

const load = (error: OverlaydError) => {
  const file = { load: () => Promise.reject(error) };
  return new EngineNetworks({ file, logger: silent } as unknown as EngineNetworksDeps).load();
};

test('a memory that cannot be read keeps no agent from starting, and says that there was an engine', async () => {
  expect(await load(new OverlaydError('state-unreadable', 'docker.json is not usable'))).toBe(true);
  await expect(load(new OverlaydError('internal', 'a bug'))).rejects.toThrow('a bug');
});
