/** What Podman never tells: other names, and namespaces in which nobody lives any more. */
import { beforeEach, expect, it, vi } from 'vitest';
import { PodmanSide } from '../../../../src/agent/podman/podman-side.ts';
import type { LocalEndpoint } from '../../../../src/core/container.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { formatOwnerKey, PODMAN } from '../../../../src/core/podman/owner.ts';
import type { EndpointRecord } from '../../../../src/core/records.ts';
import { endpointRecord } from '../../../fixtures/records.ts';

let endpoints: Map<string, LocalEndpoint>;
let names: Map<string, string>;
let deserted: Set<string>;
let refused: Set<string>;
/** What etcd has. */
let held: Map<string, EndpointRecord>;
let unhealthy: Set<string>;
/** What this host called an endpoint when its record was changed. */
let localNames: string[];
let tell: (id: string) => void;
/** Of whose checks it was asked. */
let asked: string[];
let warnings: number;
let now: number;
/** Of the pauses between looks. */
let pauses: number[];
let hasPlugin: boolean;
let side: PodmanSide;

const endpoint = (name: string): LocalEndpoint => ({
  record: endpointRecord({ id: name.padEnd(64, '0'), name }),
  container: { text: `netns:${name}`, path: `/run/netns/${name}`, identity: name },
  ifname: 'eth0',
  owner: { tool: PODMAN, key: formatOwnerKey({ containerId: name, networkId: 'n' }), names: 'told' },
});
const put = (each: LocalEndpoint) => endpoints.set(each.record.id, each);
const called = () => [...endpoints.values()].map(({ record }) => record.name);

async function change(record: EndpointRecord, parts: Partial<EndpointRecord>): Promise<EndpointRecord> {
  if (refused.has(record.name)) throw new OverlaydError('version-mismatch', `${record.name} cannot be read`);
  localNames.push(endpoints.get(record.id)!.record.name);
  const next = { ...record, ...parts };
  held.set(record.id, next);
  return next;
}

beforeEach(() => {
  [endpoints, names, deserted, refused, unhealthy] = [new Map(), new Map(), new Set(), new Set(), new Set()];
  [held, localNames] = [new Map(), []];
  [warnings, now, pauses, hasPlugin] = [0, 60_000, [], true];
  const logger = { debug() {}, info() {}, warn: () => void warnings++, error() {}, child: () => logger };
  const local = { get: (id: string) => endpoints.get(id), update: async (each: LocalEndpoint) => void put(each) };
  const pause = (ms: number, signal?: AbortSignal) => {
    pauses.push(ms);
    return new Promise<void>((_, reject) => signal?.addEventListener('abort', reject, { once: true }));
  };
  side = new PodmanSide({
    files: {
      stamp: async () => (hasPlugin ? '1 1' : undefined),
      list: async () => [],
      has: async () => false,
    } as never,
    containers: {
      stamp: async () => JSON.stringify([...names]),
      names: async () => names,
      deserted: async () => deserted,
    },
    health: {
      unhealthy: async (ids) => {
        asked = [...ids];
        return new Map(asked.map((id) => [id, unhealthy.has(id)]));
      },
      follow: (_, told) => {
        tell = told;
      },
    },
    attachments: {
      all: () => [...endpoints.values()],
      detach: async ({ key }) => [...endpoints].some(([id, { owner }]) => owner?.key === key && endpoints.delete(id)),
    },
    member: () =>
      ({
        ...{ engineEndpoints: { change: { make: change } }, local },
        networks: { list: () => [] },
        view: { provesAbsence: true, endpoint: ({ id }: EndpointRecord) => held.get(id) },
      }) as never,
    clock: { elapsed: () => now, now: () => now, sleep: pause },
    logger,
  });
});

it('gives an endpoint the name that its container has got', async () => {
  put(endpoint('api'));
  names.set('api', 'shop');
  await side.look();
  expect(called()).toEqual(['shop']);
});

it('goes on past one that cannot be renamed, says so once, and tries again', async () => {
  for (const name of ['api', 'db', 'gone']) put(endpoint(name));
  refused.add('api');
  names.set('api', 'shop').set('db', 'store');
  deserted.add('/run/netns/gone');
  await side.look();
  now += 30_000;
  await side.look();
  expect(called()).toEqual(['api', 'store']);
  expect(warnings).toBe(1);
  refused.clear();
  await side.look();
  expect(called()).toEqual(['shop', 'store']);
});

it('lets go of what nobody lives in, when two looks say so', async () => {
  put(endpoint('api'));
  deserted.add('/run/netns/api');
  await side.look();
  now += 29_000;
  await side.look();
  deserted.clear();
  now += 1_000;
  await side.look();
  deserted.add('/run/netns/api');
  now += 30_000;
  await side.look();
  expect(called()).toEqual(['api']);
  now += 30_000;
  await side.look();
  expect(called()).toEqual([]);
});

it('looks at once, and often, while Podman writes a network that it made', async () => {
  const end = new AbortController();
  const running = side.run(end.signal);
  await vi.waitFor(() => expect(pauses).toEqual([1_000]));
  await side.offers.whileCreating('web', async () => {});
  await vi.waitFor(() => expect(pauses).toEqual([1_000, 50]));
  end.abort();
  await running;
});

it('looks less often on a host that has no plugin for Podman', async () => {
  hasPlugin = false;
  const end = new AbortController();
  const running = side.run(end.signal);
  await vi.waitFor(() => expect(pauses).toEqual([5_000]));
  end.abort();
  await running;
});

it('has in records what checks of containers found, once it is told', async () => {
  put(endpoint('api'));
  put(endpoint('shop'));
  await side.look();
  const health = () => [...endpoints.keys()].map((id) => held.get(id)?.health);
  unhealthy.add('api');
  await side.look();
  expect(health()).toEqual([undefined, undefined]);
  tell('api');
  await side.look();
  expect(asked).toEqual(['api']);
  expect(health()).toEqual(['unhealthy', undefined]);
  unhealthy.clear();
  tell('api');
  refused.add('api');
  await side.look();
  expect([health(), warnings]).toEqual([['unhealthy', undefined], 1]);
  // Untold: what could not be done is tried again.
  refused.clear();
  await side.look();
  expect(health()).toEqual([undefined, undefined]);
});

it('looks at once when a check has ended', async () => {
  put(endpoint('api'));
  const quit = new AbortController();
  const running = side.run(quit.signal);
  await vi.waitFor(() => expect(pauses.length).toBeGreaterThan(0));
  const before = pauses.length;
  unhealthy.add('api');
  tell('api');
  await vi.waitFor(() => expect([...held.values()][0]?.health).toBe('unhealthy'));
  expect(pauses.length).toBeGreaterThan(before);
  quit.abort();
  await running;
});

it('calls it so here first, by which a record that says otherwise would be put right', async () => {
  put(endpoint('api'));
  names.set('api', 'shop');
  await side.look();
  expect([called(), localNames]).toEqual([['shop'], ['shop']]);
});
