import { expect, it } from 'vitest';
import { SettledContainers } from '../../../../src/agent/reconcile/settled-containers.ts';
import { desired } from '../../../../src/core/desired.ts';
import type { NamespaceState, Observed } from '../../../../src/core/host-state.ts';
import { World } from '../../../contract/kernel-world.ts';

const world = new World('h1');
world.addNode('h1', '10.77.0.1');
const web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
const container = { text: 'netns:c1', path: '/run/netns/c1', identity: 'c1' };
const endpoint = world.addLocal(web, '10.0.0.2', container);
const wanted = desired({ view: world, self: world.self, local: [endpoint] });
const insideWith = (mtu: number) =>
  ({ links: new Map([['eth0', { mtu }]]), addresses: [], routes: [] }) as unknown as NamespaceState;
const inside = insideWith(1450);
const observed: Observed = {
  ...{ namespaces: undefined, host: undefined, networks: new Map() },
  containers: new Map([['c1', inside]]),
};

const after = (moment: number, provesAbsence = true) => ({ obstacles: [], moment, provesAbsence });

it('a container that was found right is not looked into again, until it is doubted', () => {
  const settled = new SettledContainers();
  settled.settle(wanted, observed, after(settled.moment));
  expect(settled.unsettled(wanted)).toEqual([]);
  settled.doubtAt(container.path, [endpoint]);
  expect(settled.unsettled(wanted)).toEqual([container]);
});

it('a doubt that comes while a pass is looking is not ended by what it saw', () => {
  const settled = new SettledContainers();
  const { moment } = settled;
  expect(settled.doubtAt(container.path, [endpoint])).toEqual([web.id]);
  settled.settle(wanted, observed, after(moment));
  expect(settled.unsettled(wanted)).toEqual([container]);
  settled.settle(wanted, observed, after(settled.moment));
  expect(settled.unsettled(wanted)).toEqual([]);
});

it('an MTU that is not raised while the view is not whole is looked at again', () => {
  const settled = new SettledContainers();
  const low = { ...observed, containers: new Map([['c1', insideWith(1400)]]) };
  settled.settle(wanted, low, after(settled.moment, false));
  expect(settled.unsettled(wanted)).toEqual([container]);
  settled.settle(wanted, low, after(settled.moment));
  expect(settled.unsettled(wanted)).toEqual([]);
});

it("an engine's container is looked into when its network has another MTU than the link was made with", () => {
  const settled = new SettledContainers();
  const made = world.addHandedOver(web, '10.0.0.3');
  const want = () =>
    desired({ view: world, self: world.self, local: [...world.local.values()].filter(({ engine }) => engine) });
  const nothing = { ...observed, containers: new Map() };
  settled.settle(want(), nothing, after(settled.moment));
  const joined = { text: 'docker:api', path: '/proc/7/ns/net', identity: 'c7' };
  world.learn(made, joined, 'eth0');
  expect(settled.unsettled(want())).toEqual([]);
  world.addNode('h2', '10.77.0.2', { underlayMtu: 1400 });
  expect(settled.unsettled(want())).toEqual([joined]);
  settled.settle(want(), { ...nothing, containers: new Map([['c7', insideWith(1450)]]) }, after(settled.moment));
  expect(settled.unsettled(want())).toEqual([]);
  // A new agent does not know it.
  expect(new SettledContainers().unsettled(want())).toEqual([joined]);
});
