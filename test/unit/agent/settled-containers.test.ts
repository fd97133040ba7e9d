import { expect, it } from 'vitest';
import { SettledContainers } from '../../../src/agent/settled-containers.ts';
import { desired } from '../../../src/core/desired.ts';
import type { NamespaceState, Observed } from '../../../src/core/host-state.ts';
import { World } from '../../contract/kernel-world.ts';

const world = new World('h1');
world.addNode('h1', '10.77.0.1');
const web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
const container = { text: 'netns:c1', path: '/run/netns/c1', identity: 'c1' };
const endpoint = world.addLocal(web, '10.0.0.2', container);
const wanted = desired({ view: world, self: world.self, local: [endpoint] });
const inside = { links: new Map(), addresses: [], routes: [] } as unknown as NamespaceState;
const observed: Observed = {
  ...{ namespaces: undefined, host: undefined, networks: new Map() },
  containers: new Map([['c1', inside]]),
};

it('a container that was found right is not looked into again, until it is doubted', () => {
  const settled = new SettledContainers();
  settled.settle(wanted, observed, [], settled.moment);
  expect(settled.unsettled(wanted)).toEqual([]);
  settled.doubtAt(container.path, [endpoint]);
  expect(settled.unsettled(wanted)).toEqual([container]);
});

it('a doubt that comes while a pass is looking is not ended by what it saw', () => {
  const settled = new SettledContainers();
  const { moment } = settled;
  expect(settled.doubtAt(container.path, [endpoint])).toEqual([web.id]);
  settled.settle(wanted, observed, [], moment);
  expect(settled.unsettled(wanted)).toEqual([container]);
  settled.settle(wanted, observed, [], settled.moment);
  expect(settled.unsettled(wanted)).toEqual([]);
});
