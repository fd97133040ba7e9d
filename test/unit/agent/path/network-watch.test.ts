import { expect, test } from 'vitest';
import { NetworkWatch } from '../../../../src/agent/path/network-watch.ts';
import { decodeNetworkProbe, encodeNetworkProbe } from '../../../../src/core/path/network-probe.ts';
import type { NodeRecord } from '../../../../src/core/records.ts';
import type { NetworkSocket } from '../../../../src/ports/path.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { settle, VirtualClock } from '../../../sim/virtual-clock.ts';

const nodeOf = (number: number) =>
  ({
    ...{ id: String(number).repeat(32), name: `h${number}`, vtep: `10.0.0.${number}`, dataPathPort: 4_789 },
    ...{ underlayMtu: 1_500, left: false },
  }) as NodeRecord;
const [H1, H2] = [nodeOf(1), nodeOf(2)];
const WEB = { id: 'web', name: 'web', vni: 4_096, options: {}, subnets: [] };
const macOf = ({ id }: NodeRecord) => `02:42:0a:00:00:0${id[0]}`;

/** Two hosts with a container on `web` each. */
function hosts() {
  const clock = new VirtualClock();
  const ears = new Map<string, (data: Uint8Array, from: string) => void>();
  const watches = new Map<string, NetworkWatch>();
  const logged: { readonly event?: unknown; readonly network?: unknown }[] = [];
  const lab = {
    drops: (_from: NodeRecord, _bytes: number) => false,
    ...{ state: 'passes', current: true, has: true, sent: 0, besides: 0 },
  };
  for (const self of [H1, H2]) {
    const other = self === H1 ? H2 : H1;
    const way = {
      skipped: () => undefined,
      status: () => ({ state: lab.state, mtu: 1_450 }) as never,
      sendBeside: (_: NodeRecord, data: Uint8Array) => {
        lab.besides += 1;
        if (lab.state === 'passes') queueMicrotask(() => watches.get(other.id)?.takeBeside(self.id, data));
      },
    };
    const socket: NetworkSocket = {
      send: (frame) => {
        lab.sent += 1;
        if (!lab.drops(self, frame.length)) queueMicrotask(() => ears.get(other.id)?.(frame.subarray(42), '0.0.0.0'));
        return true;
      },
      isCurrent: () => lab.current || self === H1,
      close: async () => void ears.delete(self.id),
    };
    const watch = new NetworkWatch({
      view: () =>
        ({
          nodes: () => [H1, H2],
          node: (id: string) => [H1, H2].find((each) => each.id === id),
          live: () => ({ answersNetworks: true }),
          network: () => WEB,
          networks: () => [WEB],
          endpointsOn: () => [H1, H2].map((node) => ({ nodeId: node.id, mac: macOf(node) })),
          moment: () => 1,
        }) as never,
      ...{ self: () => self, hasOnNetwork: () => lab.has, ways: { plain: way, wireguard: way } },
      open: (_namespace, _devices, { message }) => {
        ears.set(self.id, message);
        return socket;
      },
      ...{ clock, random: seededRandom(1) },
      logger: { warn: (fields: object) => logged.push(fields), info: (fields: object) => logged.push(fields) },
    });
    watches.set(self.id, watch);
    void watch.run(new AbortController().signal);
  }
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 250) {
      await clock.advance(250);
      await settle();
    }
  };
  const words = (node: NodeRecord) =>
    watches
      .get(node.id)!
      .findings()
      .map(({ code, text }) => `${code}: ${text}`);
  const examine = (node: NodeRecord) => watches.get(node.id)!.examine([WEB] as never, [H1, H2]);
  return { lab, logged, pass, words, examine };
}

test('where the VNI passes nothing is found, with two packets a minute and their answers', async () => {
  const { lab, pass, words } = hosts();
  await pass(5_000);
  lab.sent = 0;
  await pass(120_000);
  expect(lab.sent).toBeGreaterThan(0);
  expect(lab.sent).toBeLessThanOrEqual(2 * 2 * 2 * 3);
  expect([...words(H1), ...words(H2), lab.besides]).toEqual([0]);
});

test('what gets lost is found by both, each with the direction, said once, and over when packets pass', async () => {
  const { lab, logged, pass, words } = hosts();
  await pass(5_000);
  lab.drops = (from) => from === H1;
  await pass(100_000);
  expect(words(H1)).toEqual([expect.stringMatching(/^network-path-lost: .*those from here do not get to h2\./)]);
  expect(words(H2)).toEqual([expect.stringMatching(/^network-path-lost: .*those from h1 do not get here\./)]);
  expect(logged.map(({ event, network }) => `${event} ${network}`)).toEqual(Array(2).fill('path-impaired web'));
  lab.drops = () => false;
  await pass(10_000);
  expect([...words(H1), ...words(H2)]).toEqual([]);
  expect(logged.slice(2).map(({ event }) => event)).toEqual(['path-restored', 'path-restored']);
});

test('what somebody has looked at is an event by the time that he knows of it', async () => {
  const { examine, lab, logged, pass, words } = hosts();
  await pass(5_000);
  lab.drops = (from) => from === H1;
  let told: unknown;
  void examine(H1).then(() => {
    told = logged.map(({ event }) => event);
    lab.drops = () => false;
  });
  await pass(3_000);
  expect(told).toEqual(['path-impaired']);
  await examine(H1);
  expect([...words(H1), ...logged.map(({ event }) => event)]).toEqual(['path-impaired', 'path-restored']);
});

test('of containers that are gone nobody is told that packets pass', async () => {
  const { lab, logged, pass, words } = hosts();
  await pass(5_000);
  lab.drops = () => true;
  await pass(100_000);
  expect(logged.map(({ event }) => event)).toEqual(['path-impaired', 'path-impaired']);
  lab.has = false;
  await pass(10_000);
  expect([...words(H1), ...words(H2), logged.length]).toEqual([2]);
});

test('large packets alone are told with their size', async () => {
  const { lab, pass, words } = hosts();
  lab.drops = (_from, bytes) => bytes > 1_000;
  await pass(100_000);
  expect(words(H1)).toEqual([expect.stringContaining('those of 1450 bytes (small ones pass) from here')]);
});

test.each([
  ['of a path that is lost as a whole another one tells', { state: 'lost' }],
  ['where the other host has no place for them nothing is said', { current: false }],
])('%s', async (_, fields) => {
  const { lab, pass, words } = hosts();
  await pass(5_000);
  Object.assign(lab, fields);
  lab.drops = () => true;
  await pass(200_000);
  expect(words(H1)).toEqual([]);
});

/** One host that watches these networks, all of whose members have a container on each; `beside`: what is sent without a network. */
function watcher(
  networks: readonly (typeof WEB)[],
  members: readonly NodeRecord[],
  beside: (watch: NetworkWatch, to: NodeRecord, data: Uint8Array) => void,
) {
  const clock = new VirtualClock();
  const lab = { asked: 0, sent: 0, state: 'passes', moments: new Map<string, number>() };
  const nodes = new Map([H1, ...members].map((node) => [node.id, node]));
  const byId = new Map(networks.map((network) => [network.id, network]));
  const ends = [...nodes.values()].map((node) => ({ nodeId: node.id, mac: macOf(node) }));
  /** Whatever is asked of the cluster or of a path counts, and each endpoint that is gone through. */
  const counted = <Args extends unknown[], Result>(answer: (...args: Args) => Result) => {
    return (...args: Args) => {
      const given = answer(...args);
      lab.asked += Array.isArray(given) ? given.length : 1;
      return given;
    };
  };
  const way = {
    skipped: counted(() => undefined),
    status: counted(() => ({ state: lab.state, mtu: 1_450 }) as never),
    sendBeside: (to: NodeRecord, data: Uint8Array) => beside(watch, to, data),
  };
  const view = {
    nodes: () => [...nodes.values()],
    node: counted((id: string) => nodes.get(id)),
    live: counted(() => ({ answersNetworks: true })),
    network: counted((id: string) => byId.get(id)),
    networks: counted(() => networks),
    endpointsOn: counted(() => ends),
    moment: counted((id: string) => lab.moments.get(id) ?? 1),
  } as never;
  const send = () => {
    lab.sent += 1;
    return true;
  };
  const watch: NetworkWatch = new NetworkWatch({
    ...{ view: () => view, self: () => H1, ways: { plain: way, wireguard: way } },
    hasOnNetwork: counted((id: string) => byId.has(id)),
    open: () => ({ send, isCurrent: () => true, close: async () => undefined }),
    ...{ clock, random: seededRandom(1), logger: { warn: () => undefined, info: () => undefined } },
  });
  void watch.run(new AbortController().signal);
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 250) {
      await clock.advance(250);
      await settle();
    }
  };
  return { lab, watch, pass };
}

const networksOf = (count: number) =>
  Array.from({ length: count }, (_, at) => ({ ...WEB, id: `n${at}`, name: `n${at}`, vni: 4_096 + at }));

test('many that are lost keep none of the others from being looked at', async () => {
  const { watch, pass } = watcher(networksOf(40), [H2], (to, _, data) => {
    const receipt = { ...decodeNetworkProbe(data)!, kind: 'receipt', nodeId: H2.id, listens: true } as const;
    queueMicrotask(() => to.takeBeside(H2.id, encodeNetworkProbe(receipt)));
  });
  await pass(300_000);
  expect(watch.findings()).toHaveLength(40);
});

test('a second costs what is due and a few questions per network, not what there is of pairs', async () => {
  const [networks, members] = [200, 100];
  const others = Array.from({ length: members }, (_, at) => ({
    ...nodeOf(2),
    ...{ id: `m${at}`.padEnd(32, '-'), name: `m${at}` },
  }));
  const { lab, watch, pass } = watcher(networksOf(networks), others, () => undefined);
  const asked = async (ms: number) => {
    [lab.asked, lab.sent] = [0, 0];
    await pass(ms);
    return lab.asked / (ms / 1_000);
  };
  // In each there are four pairs, and of each what two packets ask.
  const FEW = 3 * networks + 4 * 64;
  await pass(60_000);
  expect(await asked(20_000)).toBeLessThan(FEW);
  expect(lab.sent).toBe(20 * 4 * 2);
  // Nothing can be known of any.
  lab.state = 'lost';
  expect(await asked(20_000)).toBeLessThan(FEW + 2 * 64 * 8);
  expect(lab.sent).toBe(0);
  lab.state = 'passes';
  // One of the networks has become another: its members are gone through, once.
  await pass(10_000);
  lab.moments.set('n7', 2);
  expect(await asked(2_000)).toBeLessThan(FEW + 3 * members);
  expect(lab.sent).toBe(2 * 4 * 2);
  lab.asked = 0;
  watch.findings();
  expect(lab.asked).toBe(0);
});
