import { describe, expect, it } from 'vitest';
import { OverlaydError } from '../../../src/core/errors.ts';
import { encodeRecord } from '../../../src/core/record-codec.ts';
import { type EndpointRecord, keys } from '../../../src/core/records.ts';
import type { LookRequest } from '../../../src/gen/overlayd/v1/control.ts';
import { Drift } from '../../../src/gen/overlayd/v1/drift.ts';
import type { SeenThing } from '../../../src/gen/overlayd/v1/look.ts';
import { walk } from '../../../src/ui/walk.ts';
import { endpointRecord, networkRecord, nodeRecord } from '../../fixtures/records.ts';
import { toldView } from '../../fixtures/told-view.ts';

const api = endpointRecord({ id: 'a1', name: 'api', nodeId: 'h1', address: '10.0.1.2' });
const shop = endpointRecord({ id: 'b1', name: 'shop', nodeId: 'h2', address: '10.0.1.3', mac: '02:42:0a:00:01:03' });

interface World {
  readonly options?: Record<string, string>;
  readonly to?: EndpointRecord;
  /** By host. */
  readonly path?: Record<string, SeenThing>;
  readonly drift?: Record<string, Partial<Drift>[]>;
  readonly silent?: string;
  readonly name?: string[];
  readonly problem?: string;
  readonly packet?: SeenThing;
  /** By endpoint. */
  readonly container?: Record<string, SeenThing>;
  readonly others?: EndpointRecord[];
}

function walkIn(world: World = {}) {
  const { options = {}, to = shop, path = {}, drift = {}, silent, name = ['10.0.1.3'], problem } = world;
  const { container = {}, others = [], packet = { name: 'packet', outcome: 'ok', detail: 'one got there' } } = world;
  const { view, tell } = toldView();
  const put = (key: string, record: object) => ({ key, value: encodeRecord(record) });
  tell([
    put(keys.node('h1'), nodeRecord({ id: 'h1', name: 'one' })),
    put(keys.node('h2'), nodeRecord({ id: 'h2', name: 'two', vtep: '192.0.2.2' })),
    put(keys.network('n1'), networkRecord({ options })),
    put(keys.network('n2'), networkRecord({ id: 'n2', name: 'jobs', vni: 4097 })),
    put(keys.endpoint(api), api),
    ...[to, ...others].map((record) => put(keys.endpoint(record), record)),
  ]);
  const asked: LookRequest[] = [];
  const agent = {
    lookFrom: async (request: LookRequest) => {
      asked.push(request);
      if (request.node === silent) throw new OverlaydError('peer-unreachable', 'it is off');
      const { node, look } = request;
      const things = [
        container[look?.endpoint ?? ''] ?? { name: 'container', outcome: 'ok', detail: 'netns:c1' },
        ...(look?.pathTo ? [path[node] ?? { name: 'data path', outcome: 'ok', detail: 'round trip 0.2 ms' }] : []),
        ...(look?.reach ? [packet] : []),
        ...(look?.name
          ? [{ name: 'names', outcome: name.length > 0 ? 'ok' : 'problem', detail: name.join(', ') || 'NXDOMAIN' }]
          : []),
      ];
      const answers = name.map((value) => ({ type: 'A', ttlSeconds: 5, value }));
      return { things, name: look?.name && { code: 'NOERROR', answers, tookMs: 1, from: '10.0.1.1:53' } };
    },
    findDrift: async ({ node }: { node: string }, onTold: (told: never) => void) => {
      const reason = node === silent ? 'it is off' : '';
      const differs = (drift[node] ?? []).map((each) => Drift.fromPartial(each));
      const found = { differs, repaired: [], putBack: [], leftOut: 0, isPartial: false };
      onTold({ nodeId: node, nodeName: node, found: reason ? undefined : found, reason } as never);
    },
  };
  const problemOf = (nodeId: string) => (nodeId === 'h2' ? problem : undefined);
  return { asked, done: walk({ view, agent, problemOf }, api, to) };
}

const problemsIn = async (world: World) => {
  const { steps } = await walkIn(world).done;
  return steps.filter(({ outcome }) => outcome === 'problem').map(({ name, host, detail }) => [name, host, detail]);
};

describe('the walk from one endpoint to another', () => {
  it('goes over the records, both hosts, their kernels, names, and the paths both ways', async () => {
    const { asked, done } = walkIn();
    const { steps } = await done;
    expect(steps.map(({ name, host }) => `${name} ${host}`.trim())).toEqual([
      ...['same network', 'allowed', 'host one', 'container one', 'names one', 'kernel one', 'data path one'],
      ...['host two', 'container two', 'kernel two', 'data path two', 'packet one', 'health'],
    ]);
    expect(steps.every(({ outcome }) => outcome === 'ok')).toBe(true);
    expect(asked.map(({ node, look }) => [node, look?.pathTo, look?.name?.name, look?.reach])).toEqual([
      ['h1', 'h2', 'shop', '10.0.1.3'],
      ['h2', 'h1', undefined, ''],
    ]);
  });

  it('ends where they are on different networks, with what to do', async () => {
    const elsewhere = { ...shop, networkId: 'n2' };
    expect(await problemsIn({ to: elsewhere })).toEqual([
      ['same network', '', expect.stringMatching(/api is on web and shop on jobs: .*; connect one/)],
    ]);
  });

  it('names a network whose containers may not reach each other', async () => {
    expect(await problemsIn({ options: { enable_icc: 'false' } })).toEqual([
      ['allowed', '', expect.stringContaining('enable_icc=false')],
    ]);
  });

  it('names a host that is not heard, and one that cannot be asked', async () => {
    expect(await problemsIn({ problem: 'it is down' })).toEqual([['host', 'two', 'it is down']]);
    expect(await problemsIn({ silent: 'h2' })).toEqual([['asked', 'two', 'it cannot be asked: it is off']]);
  });

  it('names a path that loses packets, and the way it does', async () => {
    const lost = { name: 'data path', outcome: 'problem', detail: 'nothing comes back' };
    expect(await problemsIn({ path: { h2: lost } })).toEqual([['data path', 'two', 'to one: nothing comes back']]);
  });

  it('names what the kernel lacks for these two, and not what it lacks for others', async () => {
    const row = (object: string) => ({ kind: 'FDB row', object, state: 'missing' });
    expect(await problemsIn({ drift: { h1: [row('02:42:0a:00:01:03 dev vx0')] } })).toEqual([
      ['kernel', 'one', 'FDB row 02:42:0a:00:01:03 dev vx0 is missing'],
    ]);
    expect(await problemsIn({ drift: { h1: [row('02:42:0a:00:01:09 dev vx0')] } })).toEqual([]);
    const link = { kind: 'link', object: 'vx0', state: 'wrong', detail: 'down' };
    expect(await problemsIn({ drift: { h2: [link] } })).toEqual([['kernel', 'two', 'link vx0 is wrong (down)']]);
  });

  it('names a name that leads elsewhere, or nowhere', async () => {
    expect(await problemsIn({ name: ['10.0.1.9'] })).toEqual([
      ['names', 'one', 'shop leads to 10.0.1.9, not to 10.0.1.3'],
    ]);
    expect(await problemsIn({ name: [] })).toEqual([['names', 'one', 'shop: NXDOMAIN']]);
  });

  it('looks at paths and names once where both are on one host, and at both containers', async () => {
    const still = { name: 'container', outcome: 'problem', detail: 'docker:shop, by eth0: it is paused' };
    const { asked, done } = walkIn({ to: { ...shop, nodeId: 'h1' }, container: { b1: still } });
    const { steps } = await done;
    expect(asked.map(({ look }) => [look?.endpoint, look?.pathTo, look?.name?.name])).toEqual([
      ['a1', 'h1', 'shop'],
      ['b1', '', undefined],
    ]);
    const wrong = steps.filter(({ outcome }) => outcome === 'problem');
    expect(wrong.map(({ detail }) => detail)).toEqual(['shop: docker:shop, by eth0: it is paused']);
  });

  it('says that a packet does not come back, last of all', async () => {
    const packet = { name: 'packet', outcome: 'problem', detail: 'nothing comes back' };
    expect(await problemsIn({ packet })).toEqual([['packet', 'one', 'nothing comes back']]);
  });

  it('says which endpoint was meant where one of the two is on the other’s network by another one', async () => {
    const onWeb = { ...shop, id: 'b2' };
    const [[, , detail] = []] = await problemsIn({ to: { ...shop, networkId: 'n2' }, others: [onWeb] });
    expect(detail).toMatch(/networks do not reach each other; a shop of the same host is on web too: choose that one$/);
  });

  it('says that the other one is unhealthy', async () => {
    const [[name] = []] = await problemsIn({ to: { ...shop, health: 'unhealthy' } });
    expect(name).toBe('health');
  });
});
