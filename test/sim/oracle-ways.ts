/** Of the oracle: whether packets between any two members get there, by what way, and that nothing is left of other ways. */
import { expect } from 'vitest';
import { decodeNode } from '../../src/core/record-codec.ts';
import { PREFIX } from '../../src/core/records.ts';
import type { SimulatedCluster, SimulatedHost } from './simulated-cluster.ts';
import { insideTunnels } from './truth.ts';

/** Pairs of which the first one's packets do not get to the other, though both send. */
export function lostWays(cluster: SimulatedCluster): readonly string[] {
  const members = new Map(
    cluster.etcd.entries(`${PREFIX}nodes/`).map(({ value }) => [decodeNode(value)!.id, decodeNode(value)!]),
  );
  const running = cluster.running.filter(({ record }) => members.get(record.id)?.left === false);
  return running.flatMap((from) =>
    running.flatMap((to) => {
      const number = members.get(to.record.id)?.wireguard?.keys[0]?.number;
      if (from === to || number === undefined) return [];
      const isThere = cluster.tunnels.delivers(from.wireguard, insideTunnels(number).vtep);
      return isThere ? [] : [`${from.record.name} to ${to.record.name}`];
    }),
  );
}

/** Time passes until packets of all get to all; returns how much of it, milliseconds. Fails when `limitMs` is not enough. */
export async function untilAllReach(cluster: SimulatedCluster, limitMs: number): Promise<number> {
  const begun = cluster.clock.elapsed();
  for (;;) {
    const lost = lostWays(cluster);
    const passed = cluster.clock.elapsed() - begun;
    if (lost.length === 0) return passed;
    expect(passed, `still lost: ${lost.join(', ')}`).toBeLessThan(limitMs);
    await cluster.clock.advance(1_000);
  }
}

/** Whether packets of two behind NAT have a way without a relay: their routers map alike for all, and are two. */
export function mayBeDirect({ wireguard: { router: a } }: SimulatedHost, { wireguard: { router: b } }: SimulatedHost) {
  if (!a || !b) return true;
  return a !== b && a.kind === 'cone' && b.kind === 'cone';
}

/** Of each two behind NAT: by a running relay, or past all of them, as their routers let them; relays are there for the former alone. */
export function checkWays(cluster: SimulatedCluster): void {
  const hidden = cluster.running.filter(({ wireguard }) => wireguard.router);
  const relayed = new Set<string>();
  for (const one of hidden) {
    for (const other of hidden) {
      if (one === other) continue;
      const what = `${one.record.name} to ${other.record.name}`;
      const { endpoint } = [...one.wireguard.sending!.peers.values()].find(
        ({ publicKey }) => publicKey === other.wireguard.sending!.publicKey,
      )!;
      const relay = cluster.running.find(
        ({ wireguard }) =>
          !wireguard.router &&
          [...wireguard.sockets.keys()].some((port) => `${wireguard.address}:${port}` === endpoint),
      );
      expect(relay === undefined, `${what} goes directly, to ${endpoint}`).toBe(mayBeDirect(one, other));
      if (relay) relayed.add([one.record.id, other.record.id].sort().join(' '));
    }
  }
  const keysOf = new Map(hidden.map(({ record, wireguard }) => [wireguard.sending!.publicKey, record.id]));
  for (const { record, running, wireguard } of cluster.running) {
    const offered = running.view.node(record.id)?.wireguard?.relays ?? [];
    const pairs = offered.map(({ between }) =>
      between
        .map((key) => keysOf.get(key) ?? key)
        .sort()
        .join(' '),
    );
    for (const pair of pairs) expect(relayed, `${record.name} relays between ${pair}`).toContain(pair);
    expect([...wireguard.sockets.keys()].sort(), `relays on ${record.name}`).toEqual(
      offered.flatMap(({ ports }) => ports).sort(),
    );
  }
}

/** At every moment: what goes through tunnels has its socket among them, and no device has a key that was removed long ago. */
export function checkSecrecy(cluster: SimulatedCluster): void {
  for (const { kernel, record, running } of cluster.running) {
    for (const place of kernel.machine.places()) {
      const vni = Number(/^ovl-(\d+)$/.exec(place)?.[1]);
      const network = [...running.view.networks()].find((each) => each.vni === vni);
      const vxlan = kernel.machine.snapshot(place)!.links.get('vx0')?.vxlan;
      if (network?.options.encrypted === undefined || !vxlan) continue;
      expect(vxlan, `${network.name} on ${record.name}`).toMatchObject({ local: undefined, socketAt: 'ovl-wg' });
    }
  }
}
