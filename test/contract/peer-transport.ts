/** What every transport between members has to do, the one in memory and the real one. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OverlaydError } from '../../src/core/errors.ts';
import type { GossipMessage } from '../../src/core/gossip/message.ts';
import type { Peer, PeerTransport } from '../../src/ports/peers.ts';

export interface TransportNode {
  readonly nodeId: string;
  readonly transport: PeerTransport;
  /** Its address, once it has served. */
  address(): string;
}

export interface TransportHarness {
  readonly nodes: readonly [TransportNode, TransportNode, TransportNode];
  close(): void;
}

const plain = (from: string): GossipMessage => ({ from, members: [] });

export function describePeerTransport(name: string, createHarness: () => Promise<TransportHarness>): void {
  describe(`peer transport: ${name}`, () => {
    let harness: TransportHarness;
    let stop: AbortController;
    beforeEach(async () => {
      harness = await createHarness();
      stop = new AbortController();
    });
    afterEach(() => {
      stop.abort();
      harness.close();
    });

    const peer = (node: TransportNode): Peer => ({ nodeId: node.nodeId, address: node.address() });
    const echo = (node: TransportNode) => async (_: string, message: GossipMessage) => ({
      ...message,
      from: node.nodeId,
    });
    /** Of requests that are answered. */
    const TIMEOUT_MS = 60_000;

    test('carries every field there and back, and tells who asks', async () => {
      const [a, b] = harness.nodes;
      const seen: string[] = [];
      await b.transport.serve(async (from, message) => {
        seen.push(from);
        return { ...message, from: b.nodeId };
      }, stop.signal);
      const message: GossipMessage = {
        from: a.nodeId,
        digest: { completeTo: Number.MAX_SAFE_INTEGER, ahead: [7, 9] },
        delta: {
          from: 3,
          to: 9,
          records: [
            { key: '/overlayd/v2/nodes/ü', revision: 7, value: '' },
            { key: '/overlayd/v2/nodes/y', revision: 9 },
          ],
        },
        members: [
          {
            nodeId: a.nodeId,
            startedAt: 1_700_000_000_000,
            incarnation: 4,
            accusers: ['x', 'y'],
            backWithinMs: 59_999,
          },
        ],
        relay: 5,
        epoch: '7-00112233445566aa',
        withoutStore: true,
        store: { endpoints: ['https://192.0.2.1:2379'], caCertificate: 'ca', certificate: 'certificate', key: 'key' },
        sight: { keys: [{ publicKey: 'k', endpoint: '192.0.2.9:51840' }] },
      };
      expect(await a.transport.request(peer(b), message, TIMEOUT_MS)).toEqual({ ...message, from: b.nodeId });
      expect(seen).toEqual([a.nodeId]);
    });

    test('a host is there whether somebody listens or nobody does', async () => {
      const [a, b] = harness.nodes;
      await b.transport.serve(echo(b), stop.signal);
      const there = peer(b);
      expect(await a.transport.isThere(there, TIMEOUT_MS)).toBe(true);
      stop.abort();
      await expect(a.transport.request(there, plain(a.nodeId), 1_000)).rejects.toThrow();
      expect(await a.transport.isThere(there, TIMEOUT_MS)).toBe(true);
    });

    test('an empty delta and no delta are two things', async () => {
      const [a, b] = harness.nodes;
      await b.transport.serve(echo(b), stop.signal);
      const delta = { from: 0, to: 0, records: [] };
      expect((await a.transport.request(peer(b), plain(a.nodeId), TIMEOUT_MS)).delta).toBeUndefined();
      expect((await a.transport.request(peer(b), { ...plain(a.nodeId), delta }, TIMEOUT_MS)).delta).toEqual(delta);
    });

    test('answers several at once, each with its own reply', async () => {
      const [a, b, c] = harness.nodes;
      await b.transport.serve(echo(b), stop.signal);
      const ask = (node: TransportNode, i: number) =>
        node.transport.request(
          peer(b),
          { ...plain(node.nodeId), members: [{ nodeId: `${i}`, startedAt: 1, incarnation: 1, accusers: [] }] },
          TIMEOUT_MS,
        );
      const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(i % 2 ? a : c, i)));
      expect(replies.map((reply) => reply.members[0]?.nodeId)).toEqual(Array.from({ length: 40 }, (_, i) => `${i}`));
    });

    test('a handler that fails makes the request fail with its code', async () => {
      const [a, b] = harness.nodes;
      await b.transport.serve(async () => {
        throw new OverlaydError('not-joined', 'not yet');
      }, stop.signal);
      await expect(a.transport.request(peer(b), plain(a.nodeId), TIMEOUT_MS)).rejects.toMatchObject({
        code: 'not-joined',
        message: 'not yet',
      });
    });

    test('a peer that does not answer is given up after the time-out', async () => {
      const [a, b] = harness.nodes;
      await b.transport.serve(() => new Promise(() => undefined), stop.signal);
      await expect(a.transport.request(peer(b), plain(a.nodeId), 50)).rejects.toMatchObject({
        code: 'peer-unreachable',
      });
    });

    test('a question that is not answered holds up none that come after it', async () => {
      const [a, b] = harness.nodes;
      const slow = Promise.withResolvers<void>();
      await b.transport.serve(async (_, message) => {
        if (message.relay === 1) await slow.promise;
        return { ...message, from: b.nodeId };
      }, stop.signal);
      const ask = (relay: number, timeoutMs: number) =>
        a.transport.request(peer(b), { ...plain(a.nodeId), relay }, timeoutMs);
      const held = ask(1, TIMEOUT_MS);
      await expect(ask(1, 50)).rejects.toMatchObject({ code: 'peer-unreachable' });
      expect((await ask(2, TIMEOUT_MS)).relay).toBe(2);
      slow.resolve();
      expect((await held).relay).toBe(1);
      // The answer to the one that was given up is nobody's by now.
      expect((await ask(3, TIMEOUT_MS)).relay).toBe(3);
    });

    test('a peer that stopped is unreachable, and reached again when it is back', async () => {
      const [a, b] = harness.nodes;
      const first = new AbortController();
      await b.transport.serve(echo(b), first.signal);
      await a.transport.request(peer(b), plain(a.nodeId), TIMEOUT_MS);
      first.abort();
      const gone = a.transport.request(peer(b), plain(a.nodeId), 500);
      await expect(gone).rejects.toMatchObject({ code: 'peer-unreachable' });
      await b.transport.serve(echo(b), stop.signal);
      const ask = () => a.transport.request(peer(b), plain(a.nodeId), TIMEOUT_MS);
      await expect.poll(() => ask().then((reply) => reply.from, String)).toBe(b.nodeId);
    });

    test('nobody but the node that was asked for answers', async () => {
      const [a, b, c] = harness.nodes;
      await b.transport.serve(echo(b), stop.signal);
      const wrong = { nodeId: c.nodeId, address: b.address() };
      await expect(a.transport.request(wrong, plain(a.nodeId), 1_000)).rejects.toMatchObject({
        code: 'peer-unreachable',
      });
    });

    test('a message in the name of another node is refused', async () => {
      const [a, b, c] = harness.nodes;
      let asked = 0;
      await b.transport.serve(async (_, message) => {
        asked++;
        return message;
      }, stop.signal);
      await expect(a.transport.request(peer(b), plain(c.nodeId), TIMEOUT_MS)).rejects.toMatchObject({
        code: 'peer-refused',
      });
      expect(asked).toBe(0);
    });
  });
}
