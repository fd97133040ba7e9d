import { describe, expect, it } from 'vitest';
import { Gossip } from '../../../../src/agent/view/gossip.ts';
import { FailureDetector } from '../../../../src/core/failure-detector.ts';
import type { GossipMessage } from '../../../../src/core/gossip/message.ts';
import { formatHostPort } from '../../../../src/core/host-port.ts';
import type { NodeRecord } from '../../../../src/core/records.ts';
import type { Peer, PeerTransport } from '../../../../src/ports/peers.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const INTERVAL_MS = 1_000;
const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

/** A member `self` beside `n1`, `n2`, … that answer after `delayMs`; undefined: never. */
async function member(
  others: number,
  options: { hidden?: readonly string[]; delayMs?: (nodeId: string) => number | undefined },
) {
  const clock = new VirtualClock(0);
  const detector = new FailureDetector({ selfId: 'self', intervalMs: INTERVAL_MS });
  detector.begin(1);
  const asked: { readonly nodeId: string; readonly at: number; readonly message: GossipMessage }[] = [];
  let handle: Parameters<PeerTransport['serve']>[0] | undefined;
  const transport: PeerTransport = {
    async request(peer: Peer, message, timeoutMs): Promise<GossipMessage> {
      asked.push({ nodeId: peer.nodeId, at: clock.now(), message });
      const delayMs = options.delayMs === undefined ? 1 : options.delayMs(peer.nodeId);
      await clock.sleep(Math.min(delayMs ?? timeoutMs, timeoutMs));
      if (delayMs === undefined || delayMs > timeoutMs) throw new Error('no answer in time');
      return { from: peer.nodeId, digest: { completeTo: 0, ahead: [] }, members: [] };
    },
    async serve(handler) {
      handle = handler;
    },
    isThere: async () => true,
    retain: () => undefined,
  };
  const nodes = ['self', ...Array.from({ length: others }, (_, i) => `n${i + 1}`)].map(
    (id) => ({ id, left: false, advertiseAddress: '192.0.2.1', gossipPort: 7946 }) as NodeRecord,
  );
  const gossip = new Gossip(
    {
      state: {
        view: { nodes: () => nodes },
        digest: () => ({ completeTo: 0, ahead: [] }),
        delta: () => undefined,
        epoch: undefined,
        followed: true,
        screen: (message) => message,
        hear: () => {},
      },
      ...{ transport, detector, clock, random: seededRandom(1), logger: silent },
      addressOf: ({ advertiseAddress, gossipPort }) => formatHostPort(advertiseAddress, gossipPort),
      isHidden: (nodeId) => options.hidden?.includes(nodeId) ?? false,
      onInterval: () => {},
    },
    { selfId: 'self', intervalMs: INTERVAL_MS },
  );
  const quit = new AbortController();
  await gossip.serve(quit.signal);
  const running = gossip.run(quit.signal).catch(() => undefined);
  return {
    clock,
    detector,
    gossip,
    asked,
    hear: (message: GossipMessage) => handle!(message.from, message),
    async stop() {
      quit.abort();
      await running;
    },
  };
}

describe('gossip', () => {
  it('with many members asks those that are hidden as well, so that they can come back', async () => {
    const made = await member(40, { hidden: ['n7'] });
    await made.clock.advance(20_000);
    await made.stop();
    const times = made.asked.filter(({ nodeId }) => nodeId === 'n7').length;
    expect(times).toBeGreaterThanOrEqual(18);
    // Three others per interval besides.
    expect(made.asked.length).toBeLessThanOrEqual(4 * 22);
  });

  it('with few members leaves out, for an interval, who has reconciled with it already', async () => {
    const made = await member(3, {});
    await made.hear({ from: 'n2', members: [], digest: { completeTo: 0, ahead: [] } });
    // A push is no reconciling.
    await made.hear({ from: 'n3', members: [], delta: { from: 0, to: 0, records: [] } });
    await made.clock.advance(1.1 * INTERVAL_MS);
    expect(made.asked.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n3']);
    await made.clock.advance(1.1 * INTERVAL_MS);
    await made.stop();
    expect(made.asked.slice(2).map(({ nodeId }) => nodeId)).toEqual(['n1', 'n2', 'n3']);
  });

  it('does not accuse a member whose answers are late', async () => {
    const made = await member(3, { delayMs: (nodeId) => (nodeId === 'n2' ? 2_500 : 1) });
    await made.clock.advance(30_000);
    const news = made.detector.news('n1', 10, 0);
    await made.stop();
    expect(news.map(({ nodeId }) => nodeId)).toEqual(['self']);
  });

  it('accuses a member that does not answer, and asks it every interval until then', async () => {
    const made = await member(40, { delayMs: (nodeId) => (nodeId === 'n2' ? undefined : 1) });
    await made.clock.advance(60_000);
    const news = made.detector.news('n1', 10, 0);
    await made.stop();
    expect(news).toContainEqual({ nodeId: 'n2', startedAt: 0, incarnation: 0, accusers: ['self'] });
    const first = made.asked.find(({ nodeId }) => nodeId === 'n2')!.at;
    const soon = made.asked.filter(({ nodeId, at }) => nodeId === 'n2' && at <= first + 3_500);
    expect(soon.length).toBeGreaterThanOrEqual(3);
  });

  it('pushes to few members itself', async () => {
    const made = await member(16, { hidden: ['n7'] });
    const delta = { from: 0, to: 0, records: [{ key: 'k', revision: 9, value: 'v' }] };
    await made.clock.until(made.gossip.push(delta.records));
    await made.stop();
    expect(made.asked.map(({ nodeId }) => nodeId)).not.toContain('n7');
    expect(made.asked).toHaveLength(15);
    for (const { message } of made.asked) expect(message).toMatchObject({ delta, relay: undefined });
  });

  it('pushes together what is written while pushes are under way, and is done with each when it is there', async () => {
    const made = await member(1, { delayMs: () => 10 });
    const done: number[] = [];
    const push = async (revision: number) => {
      await made.gossip.push([{ key: `k${revision}`, revision, value: 'v' }]);
      done.push(revision);
    };
    const pushed = Promise.all([1, 2, 3, 4, 5, 6].map(push));
    await made.clock.advance(10);
    expect(done).toEqual([1, 2, 3, 4]);
    await made.clock.until(pushed);
    await made.stop();
    const sent = made.asked.map(({ at, message }) => [at, message.delta?.records.map(({ revision }) => revision)]);
    expect(sent).toEqual([
      [0, [1]],
      [0, [2]],
      [0, [3]],
      [0, [4]],
      [10, [5, 6]],
    ]);
  });

  it('pushes of each thing what it is last, where it changed while pushes were under way', async () => {
    const made = await member(1, { delayMs: () => 10 });
    const push = (key: string, revision: number) => made.gossip.push([{ key, revision, value: `v${revision}` }]);
    const pushed = Promise.all([
      push('a', 1),
      push('b', 2),
      push('c', 3),
      push('d', 4),
      push('e', 5),
      push('e', 7),
      push('e', 6),
    ]);
    await made.clock.until(pushed);
    await made.stop();
    const told = made.asked.flatMap(({ message }) => message.delta?.records ?? []).filter(({ key }) => key === 'e');
    expect(told).toEqual([{ key: 'e', revision: 7, value: 'v7' }]);
  });

  it('puts no more together than one message takes', async () => {
    const made = await member(1, { delayMs: () => 10 });
    const push = (key: string, length: number) => made.gossip.push([{ key, revision: 9, value: 'v'.repeat(length) }]);
    await made.clock.until(
      Promise.all([1, 2, 3, 4, 400_000, 400_001, 400_002].map((length) => push(`k${length}`, length))),
    );
    await made.stop();
    const sent = made.asked.map(({ message }) => message.delta?.records.map(({ value }) => value?.length));
    expect(sent).toEqual([[1], [2], [3], [4], [400_000, 400_001], [400_002]]);
  });

  it('pushes to many members in two steps: to some, who each pass it on to those that follow them', async () => {
    const made = await member(40, {});
    const delta = { from: 0, to: 0, records: [{ key: 'k', revision: 9, value: 'v' }] };
    await made.clock.until(made.gossip.push(delta.records));
    await made.stop();
    const inOrder = Array.from({ length: 40 }, (_, i) => `n${i + 1}`).sort();
    expect(made.asked.map(({ nodeId }) => nodeId)).toEqual(inOrder.filter((_, i) => i % 7 === 0));
    for (const { message } of made.asked) expect(message.delta).toEqual(delta);
    expect(made.asked.map(({ message }) => message.relay)).toEqual([6, 6, 6, 6, 6, 4]);
  });

  it('has nothing passed on by members whose agents are about to be back, and pushes to these itself', async () => {
    const made = await member(40, {});
    made.detector.track(['self', ...Array.from({ length: 40 }, (_, i) => `n${i + 1}`)]);
    const said = { nodeId: 'n1', startedAt: 1, incarnation: 2, accusers: [], backWithinMs: 60_000 };
    await made.hear({ from: 'n1', members: [said] });
    await made.clock.until(made.gossip.push([{ key: 'k', revision: 9, value: 'v' }]));
    await made.stop();
    const pushed = made.asked.map(({ nodeId, message }) => [nodeId, message.relay ?? 0] as const);
    expect(pushed.at(-1)).toEqual(['n1', 0]);
    expect(pushed.slice(0, -1).map(([nodeId]) => nodeId)).not.toContain('n1');
    expect(pushed.length + pushed.reduce((sum, [, relay]) => sum + relay, 0)).toBe(40);
  });

  it('passes a push on to the members that follow, passes over hidden ones, and asks nobody to pass it further', async () => {
    const made = await member(40, { hidden: ['n10'] });
    const delta = { from: 0, to: 0, records: [{ key: 'k', revision: 9, value: 'v' }] };
    await made.hear({ from: 'n5', members: [], delta, relay: 4 });
    await made.stop();
    expect(made.asked.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n11', 'n12', 'n13']);
    for (const { message } of made.asked) expect(message).toMatchObject({ delta, relay: undefined });
  });

  it('does not pass a push on to everybody because it is asked to', async () => {
    const made = await member(300, {});
    const delta = { from: 0, to: 0, records: [] };
    await made.hear({ from: 'n5', members: [], delta, relay: 4_000_000_000 });
    await made.stop();
    expect(made.asked).toHaveLength(128);
  });

  it('tells the others at once that it is there when it is accused', async () => {
    const made = await member(12, {});
    const before = made.asked.length;
    const accusation = { nodeId: 'self', startedAt: 1, incarnation: 1, accusers: ['n2', 'n3'] };
    const reply = await made.hear({ from: 'n1', members: [accusation] });
    const told = made.asked.slice(before).map(({ nodeId }) => nodeId);
    await made.stop();
    expect(reply.members[0]).toEqual({ nodeId: 'self', startedAt: 1, incarnation: 2, accusers: [] });
    expect(new Set(told).size).toBe(12);
  });
});
