/** Members behind NAT in a whole cluster: by what way they reach each other, and how soon when it is lost. */
import { afterEach, describe, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import type { FakeRouter, NatKind } from './fake-underlay.ts';
import { addRouter } from './fake-ways.ts';
import { checkSecrecy, checkWays, lostWays, untilAllReach } from './oracle-ways.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let routers: FakeRouter[];

afterEach(() => cluster.stop());

/** So many outside, and one behind a router of each kind. */
async function begin(outside: number, kinds: readonly NatKind[]): Promise<readonly SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(outside);
  routers = kinds.map((kind) => addRouter(cluster, kind));
  for (const router of routers) await cluster.clock.until(cluster.join(router));
  const { networks } = cluster.hosts[0]!.running;
  await cluster.clock.until(networks.create(networkRequest('safe', { options: { encrypted: '' } })));
  return cluster.hosts.slice(outside);
}

/** The member that passes packets on between the two. */
function relayOf([one, other]: readonly SimulatedHost[]): SimulatedHost | undefined {
  const tunnel = one!.running.wireguard.peers().find(({ nodeId }) => nodeId === other!.record.id);
  return cluster.hosts.find(({ record }) => record.name === tunnel?.relayedBy);
}

/** `host:port` where the one has the other. */
function sendsTo(one: SimulatedHost, other: SimulatedHost): string | undefined {
  return one.wireguard.sending?.peers.get(other.wireguard.sending?.publicKey ?? '')?.endpoint;
}

async function until(isSo: () => boolean): Promise<void> {
  const begun = cluster.clock.elapsed();
  while (!isSo()) {
    expect(cluster.clock.elapsed() - begun).toBeLessThan(150_000);
    await cluster.clock.advance(50);
  }
}

/** Milliseconds until all reach all without a relay. */
async function untilDirect(limitMs: number): Promise<number> {
  const begun = cluster.clock.elapsed();
  for (;;) {
    const passed = cluster.clock.elapsed() - begun;
    const isRelayed = cluster.hosts.some(({ wireguard }) => wireguard.sockets.size > 0);
    if (!isRelayed && lostWays(cluster).length === 0) return passed;
    expect(passed, 'still relayed').toBeLessThan(limitMs);
    await cluster.clock.advance(1_000);
  }
}

describe('two behind NAT', () => {
  it('whose routers map alike for all reach each other directly', async () => {
    await begin(2, ['cone', 'cone']);
    await untilAllReach(cluster, 15_000);
    await cluster.clock.advance(30_000);
    checkWays(cluster);
  });

  it.each<readonly NatKind[]>([
    ['symmetric', 'symmetric'],
    ['cone', 'symmetric'],
  ])('whose routers are %s and %s reach each other by a relay', async (...kinds) => {
    await begin(2, kinds);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(30_000);
    checkWays(cluster);
    expect(lostWays(cluster)).toEqual([]);
  });

  it('of one router reach each other by a relay', async () => {
    await begin(2, ['cone']);
    await cluster.clock.until(cluster.join(routers[0]));
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(30_000);
    checkWays(cluster);
  });
});

describe('a relay that is lost', () => {
  it.each(['its agent ends', 'its agent is killed', 'its host is gone'])('is replaced: %s', async (how) => {
    const hidden = await begin(3, ['symmetric', 'symmetric']);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(60_000);
    const relay = relayOf(hidden)!;
    if (how === 'its agent ends') await relay.stop();
    else await relay.crash();
    if (how === 'its host is gone') relay.wireguard.vanish();
    // Until it is noticed, and then at once.
    expect(await untilAllReach(cluster, 25_000)).toBeGreaterThan(0);
    // And stays so, but for the moments in which is tried what is past it.
    for (let seconds = 0, lost = 0; seconds < 120; seconds++) {
      await cluster.clock.advance(1_000);
      lost = lostWays(cluster).length > 0 ? lost + 1 : 0;
      expect(lost, `${seconds} s later`).toBeLessThan(2);
    }
    const next = relayOf(hidden);
    expect(next).toBeDefined();
    expect(next).not.toBe(relay);
  });

  it('is replaced without etcd', async () => {
    const hidden = await begin(3, ['symmetric', 'symmetric']);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(60_000);
    cluster.etcd.stop('silent');
    await relayOf(hidden)!.crash();
    await untilAllReach(cluster, 25_000);
  });

  it('is replaced when it passes nothing on though its agent answers', async () => {
    const hidden = await begin(3, ['symmetric', 'symmetric']);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(60_000);
    const relay = relayOf(hidden)!;
    for (const port of relay.wireguard.sockets.keys()) relay.wireguard.sockets.set(port, () => undefined);
    expect(await untilAllReach(cluster, 25_000)).toBeGreaterThan(0);
    expect(relayOf(hidden)).not.toBe(relay);
  });
});

describe('past a relay', () => {
  it('packets go as soon as their routers let them', async () => {
    await begin(2, ['symmetric', 'cone']);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(20_000);
    routers[0]!.kind = 'cone';
    routers[0]!.forget();
    expect(await untilDirect(60_000)).toBeGreaterThan(0);
    await cluster.clock.advance(30_000);
    checkWays(cluster);
  });

  it('nothing is tried often that fails each time, and little is lost by it', async () => {
    await begin(2, ['symmetric', 'symmetric']);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(120_000);
    let lost = 0;
    for (let tenths = 0; tenths < 6_000; tenths++) {
      await cluster.clock.advance(100);
      lost += lostWays(cluster).length > 0 ? 1 : 0;
    }
    expect(lost).toBeLessThan(60);
  });

  it('it is tried by an agent, too, whose forerunner was killed while it tried', async () => {
    const [one, other] = await begin(2, ['symmetric', 'symmetric']);
    await untilAllReach(cluster, 25_000);
    const isPast = () => sendsTo(one!, other!)?.startsWith('203.0.113.') === true;
    await until(() => !isPast());
    await until(isPast);
    await one!.crash();
    await one!.start();
    await until(() => !isPast());
    await cluster.clock.advance(30_000);
    for (const router of routers) {
      router.kind = 'cone';
      router.forget();
    }
    await untilDirect(130_000);
  });

  it('one that ended while no agent ran is missed once, and replaced by a relay', async () => {
    const [one] = await begin(2, ['cone', 'cone']);
    await untilAllReach(cluster, 15_000);
    await cluster.clock.advance(30_000);
    await one!.crash();
    routers[1]!.kind = 'symmetric';
    routers[1]!.changeAddress('203.0.113.77');
    await cluster.clock.advance(20_000);
    await one!.start();
    expect(await untilAllReach(cluster, 25_000)).toBeGreaterThan(10_000);
  });

  it('a way that ends is replaced by a relay, and found again', async () => {
    const hidden = await begin(2, ['cone', 'cone']);
    await untilAllReach(cluster, 15_000);
    await cluster.clock.advance(30_000);
    const [a, b] = hidden.map(({ wireguard }) => wireguard);
    cluster.tunnels.reaches = (from, to) => !(from === a && to === b) && !(from === b && to === a);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(10_000);
    cluster.tunnels.reaches = () => true;
    await untilDirect(60_000);
  });
});

it.each<readonly NatKind[]>([
  ['cone', 'cone'],
  ['symmetric', 'symmetric'],
])(
  'members whose router (%s, %s) forgets them, or gets another address, are reached again within 10 s',
  async (...kinds) => {
    await begin(2, kinds);
    await untilAllReach(cluster, 25_000);
    await cluster.clock.advance(60_000);
    routers[0]!.forget();
    await untilAllReach(cluster, 10_000);
    await cluster.clock.advance(60_000);
    routers[0]!.changeAddress('203.0.113.77');
    await untilAllReach(cluster, 10_000);
    await cluster.clock.advance(60_000);
    checkWays(cluster);
  },
);

/** That the oracle finds an agent that does otherwise. */
describe('the oracle', () => {
  const isOfRelay = (endpoint: string | undefined) =>
    endpoint?.startsWith('192.0.2.') === true && !endpoint.endsWith(':51840');

  function tunnelling({ wireguard }: SimulatedHost, isForgotten: (endpoint: string | undefined) => boolean): void {
    const apply = wireguard.apply.bind(wireguard);
    wireguard.apply = (ops) => apply(ops.filter((op) => op.kind !== 'set-peer' || !isForgotten(op.peer.endpoint)));
  }

  it('finds who does not go over to a relay', async () => {
    const [one] = await begin(2, ['symmetric', 'cone']);
    tunnelling(one!, isOfRelay);
    await expect(untilAllReach(cluster, 60_000)).rejects.toThrow(/still lost: h3 to h4/);
  });

  it('finds who stays with a relay that is not needed', async () => {
    const [one] = await begin(2, ['symmetric', 'cone']);
    await untilAllReach(cluster, 25_000);
    tunnelling(one!, (endpoint) => endpoint?.startsWith('203.0.113.') === true);
    routers[0]!.kind = 'cone';
    routers[0]!.forget();
    await cluster.clock.advance(130_000);
    expect(() => checkWays(cluster)).toThrow(/goes directly/);
  });

  it('finds a relay that nobody needs any more', async () => {
    await begin(2, ['cone', 'cone']);
    await untilAllReach(cluster, 15_000);
    cluster.hosts[1]!.wireguard.sockets.set(51_842, () => undefined);
    await cluster.clock.advance(30_000);
    expect(() => checkWays(cluster)).toThrow(/relays on h2/);
  });

  it('finds a tunnel that has its socket outside', async () => {
    const [one] = await begin(2, ['cone', 'cone']);
    const { kernel, running } = one!;
    const apply = kernel.apply.bind(kernel);
    kernel.apply = (plan) =>
      apply({
        ...plan,
        stages: plan.stages.map(({ ops, ...stage }) => ({
          ...stage,
          ops: ops.map(({ op, ...rest }) => ({
            ...rest,
            op: op.kind === 'add-vxlan' ? { ...op, vxlan: { ...op.vxlan, socketAt: '' as const } } : op,
          })),
        })),
      });
    const wanted = { network: 'safe', container: one!.addContainer(), aliases: [] };
    await cluster.clock.until(running.endpoints.connect(wanted)).catch(() => undefined);
    expect(() => checkSecrecy(cluster)).toThrow(/safe on h3/);
  });
});
