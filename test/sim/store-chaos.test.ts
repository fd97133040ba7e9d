/**
 * Random histories of who keeps the store: hosts join, lose power, come back; agents are killed; their etcds are killed, frozen,
 * thawed; keepers are demoted; another number of them is wanted. Whatever happens, no change of ours costs the majority,
 * and in the end as many vote as are wanted. `SIM_SEED=17` replays one.
 */
import { expect, it } from 'vitest';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { keys } from '../../src/core/records.ts';
import type { Random } from '../../src/ports/runtime.ts';
import { seededRandom } from './seeded-random.ts';
import { seedsOf } from './seeds.ts';
import { type StoreHost, StoreHosts } from './store-hosts.ts';

const SEEDS = seedsOf(30);
const STEPS = 40;
const MOST_HOSTS = 7;

type Step = (all: StoreHosts, random: Random) => Promise<unknown> | undefined;

const pick = <T>(random: Random, items: readonly T[]): T | undefined => items[Math.floor(random.next() * items.length)];

function put(all: StoreHosts, key: string, change: (record: Record<string, unknown>) => object): void {
  const [entry] = all.etcd.entries(key);
  const record = JSON.parse(entry!.value) as Record<string, unknown>;
  all.etcd.txn([], [{ kind: 'put', key, value: encodeRecord(change(record) as never) }]);
}

const STEPS_BY_WEIGHT: readonly (readonly [weight: number, step: Step])[] = [
  [3, (all) => (all.hosts.length < MOST_HOSTS && all.members.hasMajority ? all.join() : undefined)],
  [
    2,
    (all, random) =>
      void pick(
        random,
        all.hosts.filter(({ isUp }) => isUp),
      )?.crash(),
  ],
  [1, (all, random) => void pick(random, all.hosts)?.powerOff()],
  [
    5,
    (all, random) =>
      pick(
        random,
        all.hosts.filter(({ isUp }) => !isUp),
      )?.start(),
  ],
  [1, (all, random) => void pick(random, all.hosts)?.server.kill()],
  [1, (all, random) => void pick(random, all.hosts)?.server.freeze()],
  [3, (all) => void all.hosts.forEach(({ server }) => void server.thaw())],
  [
    1,
    (all, random) => {
      const victim = pick(random, all.hosts);
      if (victim) Object.assign(victim, { calls: 0, crashAfter: 1 + Math.floor(random.next() * 30) });
      return undefined;
    },
  ],
  [
    1,
    (all, random) => {
      const demoted = pick(random, all.keepers.nodeIds);
      if (demoted !== undefined && all.members.hasMajority && all.hosts.length > 3)
        put(all, keys.storeKeepers, (record) => ({ ...record, demoted: [demoted] }));
      return undefined;
    },
  ],
  [
    1,
    (all, random) => {
      if (all.members.hasMajority)
        put(all, keys.cluster, (record) => ({ ...record, storeMembers: pick(random, [1, 3, 3, 5]) }));
      return undefined;
    },
  ],
];

function choose(random: Random): Step {
  let left = random.next() * STEPS_BY_WEIGHT.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, step] of STEPS_BY_WEIGHT) {
    left -= weight;
    if (left < 0) return step;
  }
  return STEPS_BY_WEIGHT[0]![1];
}

/** Lets time pass; what becomes of the members meanwhile is ours, and must leave a majority where there was one. */
async function pass(all: StoreHosts, ms: number): Promise<void> {
  const shown = () => JSON.stringify(all.members.all.map(({ id, isLearner }) => [id, isLearner]));
  const running = () => all.hosts.map(({ server }) => server.runs).join();
  for (let left = ms; left > 0; left -= 500) {
    const before = { members: shown(), running: running(), hadMajority: all.members.hasMajority };
    await all.clock.advance(Math.min(500, left));
    const isOurs = shown() !== before.members && running() === before.running;
    if (isOurs && before.hadMajority) expect(all.members.hasMajority, all.shown).toBe(true);
    expect(all.members.all.filter(({ isLearner }) => isLearner).length).toBeLessThanOrEqual(1);
  }
}

const wantedOf = (all: StoreHosts): number => JSON.parse(all.etcd.entries(keys.cluster)[0]!.value).storeMembers;

it.each(SEEDS)(
  'seed %i: there is a majority as long as hosts leave one, and as many vote as are wanted',
  async (seed) => {
    const random = seededRandom(seed);
    const all = new StoreHosts();
    await all.found(3);
    for (let i = 0; i < seed % 4; i++) await all.join();
    for (let i = 0; i < STEPS; i++) {
      await choose(random)(all, random);
      await pass(all, random.next() < 0.1 ? 700_000 : random.next() * 20_000);
    }
    const calm = async ({ isUp, server }: StoreHost, host: StoreHost) => {
      host.crashAfter = Number.POSITIVE_INFINITY;
      server.thaw();
      if (!isUp) await host.start();
    };
    for (const host of all.hosts) await calm(host, host);
    await pass(all, 60_000);
    const able = Math.min(wantedOf(all), all.hosts.length - (all.keepers.demoted?.length ?? 0));
    const voting = able - ((able + 1) % 2);
    const isDone = () =>
      all.keepers.nodeIds.length === voting &&
      all.etcd.entries(keys.storeChange).length === 0 &&
      !/etcd:/.test(all.shown);
    await all.until(isDone, 3_000_000);
    await pass(all, 30_000);
    expect(isDone(), all.shown).toBe(true);
    const bundled = all.hosts.filter(({ saved }) => saved.store.bundled).map(({ record }) => record.id);
    const held = [...all.keepers.nodeIds, ...(all.keepers.learners ?? [])];
    expect(bundled.sort()).toEqual(held.sort());
  },
);
