import { expect, it } from 'vitest';
import { createContainers } from '../../../../src/adapters/system/containers.ts';
import { handedOver } from '../../../../src/core/container.ts';

it('that only an engine knows are never proved gone', async () => {
  const containers = createContainers();
  const sandbox = '/run/docker/netns/0123456789ab';
  expect(await containers.isAlive(handedOver({ endpointId: 'e'.repeat(64), sandbox }))).toBe(true);
  expect(await containers.isAlive({ text: 'netns:x', path: '/nowhere/x', identity: '1:1' })).toBe(false);
});
