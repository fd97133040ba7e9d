import { expect, it } from 'vitest';
import { AutomaticServices, type AutomaticServicesDeps } from '../../../../src/agent/services/automatic.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../../fixtures/records.ts';

const web = networkRecord({ options: { vip: 'true' } });
const api = endpointRecord({ networkId: web.id, name: 'api-1', aliases: ['api'] });

it('tries a refused alias again after a while, and forgets it with its network', async () => {
  let now = 0;
  let networks: readonly NetworkRecord[] = [web];
  const full = new OverlaydError('network-full', 'network web has no address left');
  const services = new AutomaticServices(
    {
      view: {
        networks: () => networks,
        network: (id: string) => networks.find((each) => each.id === id),
        endpointsOn: () => [api],
        nodes: () => [nodeRecord({ id: api.nodeId })],
        ...{ services: () => undefined, staticNames: () => undefined, moment: () => 1 },
      },
      local: { onNetwork: () => [{ record: api }] },
      networks: { find: () => Promise.reject(full), list: () => [] },
      ...{ selfId: api.nodeId, liveness: () => 'ready' as const, clock: { elapsed: () => now, now: () => now } },
      logger: { info: () => undefined, warn: () => undefined },
    } as unknown as AutomaticServicesDeps,
    { quarantineSeconds: 60 },
  );
  expect(await services.keep()).toBe(30_001);
  expect(services.problems).toHaveLength(1);
  // It is removed before anybody looks again: a wait that is over would never be over.
  networks = [];
  now = 60_000;
  expect(await services.keep()).toBeUndefined();
  expect(services.problems).toEqual([]);
});

it('asks for members and endpoints of networks with service addresses alone: every change is looked at', async () => {
  const asked: string[] = [];
  let networks: readonly NetworkRecord[] = [];
  const plain = networkRecord({ id: 'plain', name: 'plain' });
  const none = () => undefined;
  const services = new AutomaticServices(
    {
      view: {
        networks: () => networks,
        network: none,
        endpointsOf: () => expect.unreachable('all endpoints of the host'),
        endpointsOn: (id: string) => {
          asked.push(id);
          return [];
        },
        nodes: () => {
          asked.push('members');
          return [nodeRecord({ id: api.nodeId })];
        },
        ...{ services: none, staticNames: none, moment: () => 1 },
      },
      local: {
        onNetwork: (id: string) => {
          asked.push(id);
          return [];
        },
      },
      ...{ selfId: api.nodeId, liveness: () => 'ready' as const, clock: { elapsed: () => 0, now: () => 0 } },
    } as unknown as AutomaticServicesDeps,
    { quarantineSeconds: 60 },
  );
  networks = [plain];
  await services.keep();
  expect(asked).toEqual([]);
  networks = [plain, web];
  await services.keep();
  expect(asked).toEqual([web.id, 'members']);
});
