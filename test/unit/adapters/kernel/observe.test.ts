import { expect, test } from 'vitest';
import type { Ask, JobName, LookAnswer, LookRequest, NetworkPart, Tell } from '../../../../src/adapters/kernel/jobs.ts';
import type { Inside } from '../../../../src/adapters/kernel/monitor.ts';
import { namespaceId } from '../../../../src/adapters/kernel/namespace-ids.ts';
import { Observer } from '../../../../src/adapters/kernel/observe.ts';
import type { Link, Scope } from '../../../../src/core/host-state.ts';
import { uplinkOf } from '../../../../src/core/plan/naming.ts';
import { fdbRows, neighbourRows, OF_DEVICE } from '../../../../src/core/row-table.ts';

const NAME = 'ovl-4096';
const SCOPE: Scope = { host: false, networks: [NAME], containers: [], ports: [] };
const CONTAINER = { text: 'pid:7', path: '/proc/7/ns/net', identity: '7:1' };

const link = (name: string, index: number): Link => ({
  ...{ name, kind: 'veth', mac: '0e:00:00:00:00:01', mtu: 1450, up: true, master: undefined },
  ...{ vxlan: undefined, port: undefined, index, peerIndex: 0 },
});
const MAC = [0x0242, 0x0a000005] as const;
const V4 = [0, 0, 0xffff] as const;
const WHOLE: NetworkPart = {
  number: 1,
  forwarding: true,
  forwarding6: false,
  links: [link('vx0', 2), link('up0', 3)],
  addresses: [{ link: 'br0', address: '10.0.0.1', prefix: 24 }],
  routes: [],
  neighbours: Uint32Array.of(2, ...V4, 0x0a000005, ...MAC, 3, ...V4, 0x0a000006, ...MAC),
  fdb: Uint32Array.of(2, OF_DEVICE, ...MAC, ...V4, 0x0a4d0002, 0),
  filter: { family: 'bridge', sets: [], chains: [] },
  services: null,
};
const SAME: NetworkPart = {
  ...{ number: 2, forwarding: true, forwarding6: false, links: undefined, addresses: undefined, routes: undefined },
  ...{ neighbours: undefined, fdb: undefined, filter: undefined, services: undefined },
};

/** A thread that answers as the test says, question by question. */
function look(answers: readonly Partial<LookAnswer>[], isAlive: () => Promise<boolean> = async () => true) {
  const asked: LookRequest[] = [];
  const thread = {
    async ask<K extends JobName>(_: K, request: Ask<K>): Promise<Tell<K>> {
      asked.push(request as LookRequest);
      return { host: undefined, networks: [], insides: [], ids: [], ...answers[asked.length - 1] } as Tell<K>;
    },
  };
  const followed: [number, string][] = [];
  const onInsides = async (insides: readonly Inside[]) => {
    for (const { nsid, path } of insides) followed.push([nsid, path]);
  };
  const observer = new Observer({ thread, isAlive, onInsides });
  return { asked, followed, observer, observe: (scope = SCOPE) => observer.observe(scope, undefined) };
}

const network = (part: NetworkPart) => ({ networks: [{ ok: true as const, value: part }] });
const refused = (message: string) => ({ ok: false as const, error: { code: 'data-path-failed', message } });

test('what is as it was in the last answer is the same value', async () => {
  const { observe, asked } = look([network(WHOLE), network(SAME)]);
  const first = (await observe()).networks.get(NAME)!;
  expect(neighbourRows(first.neighbours)).toEqual([
    { link: 'vx0', address: '10.0.0.5', mac: '02:42:0a:00:00:05' },
    { link: 'up0', address: '10.0.0.6', mac: '02:42:0a:00:00:05' },
  ]);
  expect(fdbRows(first.fdb)).toEqual([{ link: 'vx0', mac: '02:42:0a:00:00:05', vtep: '10.77.0.2', port: undefined }]);
  const again = (await observe()).networks.get(NAME)!;
  expect(again).toEqual(first);
  expect(again.neighbours).toBe(first.neighbours);
  expect(again.fdb).toBe(first.fdb);
  expect(asked.map(({ networks }) => networks[0]!.known)).toEqual([0, 1]);
});

test('what is otherwise is told, and what is not is the same', async () => {
  const neighbours = Uint32Array.of(2, ...V4, 0x0a000005, ...MAC, 3, ...V4, 0x0a000007, ...MAC);
  const { observe } = look([network(WHOLE), network({ ...SAME, neighbours, filter: null })]);
  const first = (await observe()).networks.get(NAME)!;
  const again = (await observe()).networks.get(NAME)!;
  expect(neighbourRows(again.neighbours).map(({ address }) => address)).toEqual(['10.0.0.5', '10.0.0.7']);
  expect(again.filter).toBe(undefined);
  expect(again.fdb).toBe(first.fdb);
});

test('rows follow the names of their links', async () => {
  const links = [link('vx0', 3), link('up0', 2)];
  const { observe } = look([network(WHOLE), network({ ...SAME, links })]);
  await observe();
  const again = (await observe()).networks.get(NAME)!;
  expect(neighbourRows(again.neighbours).map((row) => row.link)).toEqual(['up0', 'vx0']);
});

test('of a namespace that came anew nothing is remembered', async () => {
  const { observe, observer, asked } = look([network(WHOLE), network(WHOLE)]);
  await observe();
  observer.forget(NAME);
  await observe();
  expect(asked[1]!.networks[0]!.known).toBe(0);
});

test("of the host's rows those of our links are seen, and of others none", async () => {
  const neighbours = Uint32Array.of(2, ...V4, 0x0a000005, ...MAC, 7, ...V4, 0xc0000205, ...MAC);
  const uplink = link(uplinkOf(4096), 7);
  const part = {
    links: [uplink],
    addresses: [],
    routes: [],
    neighbours,
    forwarding: true,
    forwarding6: false,
    advertised: [],
    filter: undefined,
  };
  const { observe } = look([{ host: { ok: true, value: { ...part, namespaces: [] } } }]);
  const { host } = await observe({ ...SCOPE, host: true, networks: [] });
  expect(neighbourRows(host!.neighbours)).toEqual([
    { link: uplink.name, address: '192.0.2.5', mac: '02:42:0a:00:00:05' },
  ]);
});

test('where there is no namespace nothing is seen, and nothing is wrong', async () => {
  const { observe } = look([{ networks: [undefined] }]);
  const { networks, unseen } = await observe();
  expect([networks.size, unseen!.size]).toEqual([0, 0]);
});

test('one that cannot be looked at says nothing of the others', async () => {
  const { observe } = look([{ networks: [{ ok: true, value: WHOLE }, refused('not permitted')] }]);
  const { networks, unseen } = await observe({ ...SCOPE, networks: [NAME, 'ovl-7'] });
  expect([...networks.keys()]).toEqual([NAME]);
  expect(unseen!.get('ovl-7')).toMatchObject({ code: 'data-path-failed', message: expect.stringMatching(/permitted/) });
});

test('what is missing on the host ends the whole look', async () => {
  const missing = { ok: false as const, error: { code: 'tool-missing', message: 'no library' } };
  await expect(look([{ networks: [missing] }]).observe()).rejects.toMatchObject({ code: 'tool-missing' });
});

test('a container that cannot be entered is its own affair; one that is gone is gone', async () => {
  const scope = { ...SCOPE, networks: [], containers: [CONTAINER] };
  const { containers, unseen } = await look([{ insides: [refused('not permitted')] }]).observe(scope);
  expect(containers.size).toBe(0);
  expect(unseen!.get('7:1')).toMatchObject({ message: expect.stringContaining('not permitted') });
  let alive = 2;
  const dying = await look([{ insides: [undefined] }], async () => --alive > 0).observe(scope);
  expect(dying.containers.get('7:1')).toBe('gone');
  const dead = await look([], async () => false).observe(scope);
  expect(dead.containers.get('7:1')).toBe('gone');
});

test('a container is looked into when its port is missing', async () => {
  const ports = ['vx0', 'e1'].map((name) => ({
    namespace: NAME,
    link: name,
    container: { ...CONTAINER, identity: name },
  }));
  const inside = { ok: true as const, value: { links: [link('eth0', 9)], addresses: [], routes: [] } };
  const { observe, asked, followed } = look([network(WHOLE), { insides: [inside], ids: [3] }]);
  const { containers } = await observe({ ...SCOPE, ports });
  expect(asked.map(({ insides }) => insides)).toEqual([[], [CONTAINER.path]]);
  // What happens in there is heard by that id.
  expect(followed).toEqual([[3, CONTAINER.path]]);
  expect([...containers.keys()]).toEqual(['e1']);
});

test("a network's own namespace is no container, whatever path leads to it", async () => {
  const inside = { links: [], addresses: [], routes: [] };
  const { observer } = look([{ ids: [namespaceId(4096)], insides: [{ ok: true, value: inside }] }]);
  await expect(observer.inside('/run/../run/netns/ovl-4096')).rejects.toMatchObject({
    code: 'namespace-unusable',
    message: expect.stringContaining('belongs to a network of overlayd'),
  });
});
