/** Keys that are exchanged while packets flow: none is lost, whoever dies meanwhile, and nothing is left of it. */
import { afterEach, describe, expect, it } from 'vitest';
import { decodeNode } from '../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../src/core/records.ts';
import { vtepOf } from '../../src/core/wireguard/addresses.ts';
import { networkRecord } from '../fixtures/records.ts';
import type { SimulatedClusterOptions } from './cluster-options.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const DAY_MS = 86_400_000;

let cluster: SimulatedCluster;

afterEach(() => cluster.stop());

async function begin(count: number, options: Partial<SimulatedClusterOptions> = {}): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 1, ...options });
  await cluster.start(count);
  const network = networkRecord({ options: { encrypted: 'true' } });
  cluster.etcd.txn([], [{ kind: 'put', key: keys.network(network.id), value: JSON.stringify(network) }]);
  await cluster.clock.advance(3_000);
  return cluster.hosts;
}

/** Where the rows of a host lead, as its agent knows it; of one whose agent is away as it was then. */
const rows = new WeakMap<SimulatedHost, Map<string, number>>();

function rowsOf(host: SimulatedHost): Map<string, number> {
  if (host.member) {
    const numbers = [...host.running.view.nodes()].flatMap(({ id, wireguard }) =>
      id === host.record.id || !wireguard ? [] : [[id, wireguard.keys[0]!.number] as const],
    );
    rows.set(host, new Map(numbers));
  }
  return rows.get(host) ?? new Map();
}

/** Everybody sends to everybody, as rows lead; returns what was lost. */
function lost(senders: readonly SimulatedHost[] = cluster.hosts): string[] {
  return senders.flatMap((from) =>
    [...rowsOf(from)].flatMap(([to, number]) =>
      cluster.tunnels.delivers(from.wireguard, vtepOf(number)) ? [] : [`${from.record.name} to ${to}`],
    ),
  );
}

async function flow(ms: number, stepMs = 500, senders?: readonly SimulatedHost[]): Promise<string[]> {
  const missing: string[] = [];
  for (let passed = 0; passed < ms; passed += stepMs) {
    missing.push(...lost(senders));
    await cluster.clock.advance(stepMs);
  }
  return missing;
}

function checkSettled(): void {
  const nodes = cluster.etcd.entries(`${PREFIX}nodes/`).map(({ value }) => decodeNode(value)!);
  const claimed = cluster.etcd.entries(keys.wireguards).map(({ key, value }) => [key, value]);
  const offered = nodes.flatMap(({ id, wireguard }) =>
    wireguard!.keys.map(({ number }) => [keys.wireguard(number), id]),
  );
  expect(claimed.sort()).toEqual(offered.sort());
  for (const { keyFile, record, wireguard } of cluster.hosts) {
    const { keys: own } = nodes.find(({ id }) => id === record.id)!.wireguard!;
    expect(keyFile.content!.keys.map(({ publicKey }) => publicKey)).toEqual(own.map(({ publicKey }) => publicKey));
    expect([...wireguard.devices.values()].map(({ publicKey }) => publicKey)).toEqual([own[0]!.publicKey]);
    for (const { peers } of wireguard.devices.values()) expect(peers.size).toBe(cluster.hosts.length - 1);
  }
}

const rotate = (host: SimulatedHost, force = false, progress: string[] = []) =>
  host.running.wireguard.rotation.rotate({ force }, (text) => progress.push(text), new AbortController().signal);

describe('a key that is exchanged', () => {
  it('loses no packet, and says what it waits for', async () => {
    const [h1] = await begin(4, { etcdMs: 20 });
    const before = h1!.keyFile.content!.keys[0]!;
    const progress: string[] = [];
    const exchanged = rotate(h1!, false, progress);
    expect(await flow(80_000)).toEqual([]);
    expect(await exchanged).toEqual({ from: before.publicKey, to: h1!.keyFile.content!.keys[0]!.publicKey });
    expect(progress).toContain('members go over to the new key');
    expect([...h1!.wireguard.devices.keys()]).toEqual(['ovlwg1']);
    checkSettled();
    void rotate(h1!);
    expect(await flow(80_000)).toEqual([]);
    expect([...h1!.wireguard.devices.keys()]).toEqual(['ovlwg0']);
    checkSettled();
  });

  it('loses none when all hosts do it at once, by age', async () => {
    const hosts = await begin(4, { keyLifetimeMs: 30 * DAY_MS });
    const before = hosts.map(({ keyFile }) => keyFile.content!.keys[0]!.publicKey);
    for (const host of hosts) host.skewMs = 31 * DAY_MS;
    expect(await flow(240_000)).toEqual([]);
    checkSettled();
    const after = hosts.map(({ keyFile }) => keyFile.content!.keys[0]!.publicKey);
    expect(after.filter((key) => before.includes(key))).toEqual([]);
  });

  it.each([
    ['back', -DAY_MS],
    ['ahead, and back to what it was', DAY_MS],
  ])('loses none when a clock is set %s: by the former key no handshake would be taken', async (_, jumpMs) => {
    const [h1, h2, h3] = await begin(3);
    const before = h1!.keyFile.content!.keys[0]!.publicKey;
    // The others say nothing by themselves, and sessions end in the silence before: each handshake is its own.
    const flows = async () => {
      const missing = await flow(300_000, 500, [h1!]);
      await cluster.clock.advance(400_000);
      return [...missing, ...lost([h1!])];
    };
    expect(await flows()).toEqual([]);
    h1!.skewMs = jumpMs;
    expect(await flows()).toEqual([]);
    h1!.skewMs = Math.min(jumpMs, 0);
    expect(await flows()).toEqual([]);
    checkSettled();
    expect(h1!.keyFile.content!.keys[0]!.publicKey).not.toBe(before);
    for (const host of [h1!, h2!, h3!]) expect(host.running.findings.map(({ text }) => text)).toEqual([]);
  });

  it.each(['stays up', 'is restarted'])(
    'loses none once a clock was set back while no agent ran and the host %s: by the former key no handshake would be taken',
    async (fate) => {
      const [h1] = await begin(3);
      const before = h1!.keyFile.content!.keys[0]!.publicKey;
      expect(await flow(300_000, 500, [h1!])).toEqual([]);
      await (fate === 'is restarted' ? h1!.reboot() : h1!.crash());
      h1!.skewMs = -DAY_MS;
      await h1!.start();
      await cluster.clock.advance(400_000);
      expect(await flow(300_000, 500, [h1!])).toEqual([]);
      checkSettled();
      const after = h1!.keyFile.content!.keys[0]!.publicKey;
      expect(after).not.toBe(before);
      // It is seen to once.
      await h1!.crash();
      await h1!.start();
      await cluster.clock.advance(400_000);
      expect(h1!.keyFile.content!.keys[0]!.publicKey).toBe(after);
    },
  );

  it('is there at once where nothing goes through tunnels', async () => {
    const [h1] = await begin(2);
    cluster.etcd.txn([], [{ kind: 'delete', key: keys.network('n1') }]);
    await cluster.clock.advance(2_000);
    await cluster.clock.until(rotate(h1!));
    expect(h1!.keyFile.content!.keys).toHaveLength(1);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'goes on after its agent is killed at any moment, and loses nothing (seed %i)',
    async (seed) => {
      const [h1] = await begin(3, { seed, etcdMs: 40 });
      h1!.keyFile.ms = 30;
      void rotate(h1!).catch(() => undefined);
      const missing: string[] = [];
      for (let crash = 0; crash < 12; crash++) {
        missing.push(...(await flow(Math.floor(cluster.random.next() * 8_000), 250)));
        await h1!.crash();
        missing.push(...lost());
        await cluster.clock.until(h1!.start());
      }
      missing.push(...(await flow(120_000)));
      expect(missing).toEqual([]);
      expect([...h1!.wireguard.devices.keys()]).toEqual(['ovlwg1']);
      checkSettled();
    },
  );

  it('says who still sends by the old key, which stays for that long', async () => {
    const [h1, h2] = await begin(2);
    lost();
    const exchanged = rotate(h1!);
    for (let passed = 0; h1!.keyFile.content!.keys[0]!.device === 'ovlwg0' && passed < 60; passed++) await flow(500);
    // Before it hears of the new key.
    await h2!.crash();
    expect(await flow(300_000)).toEqual([]);
    expect(h1!.keyFile.content!.keys).toHaveLength(2);
    expect(h1!.running.findings.map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/members go over to the new key: h2; does the agent run there\? .*--force/),
    );
    await cluster.clock.until(h2!.start());
    expect(await flow(90_000)).toEqual([]);
    await exchanged;
    checkSettled();
  });

  it('waits for a member that does not hear of it, as long as packets pass, unless it is forced', async () => {
    const [h1, h2, h3] = await begin(3);
    lost();
    cluster.partition([h2!], [h1!, h3!], [h2!]);
    const progress: string[] = [];
    const exchanged = rotate(h1!, false, progress);
    expect(await flow(300_000)).toEqual([]);
    expect(progress.at(-1)).toBe('no handshake with the new key yet: h2');
    expect(h1!.running.findings.map(({ text }) => text)).toContainEqual(
      expect.stringMatching(/waits: no handshake with the new key yet: h2; .*--force/),
    );
    cluster.heal();
    expect(await flow(90_000)).toEqual([]);
    await exchanged;
    checkSettled();
    cluster.partition([h2!], [h1!, h3!], [h2!]);
    await cluster.clock.advance(20_000);
    await cluster.clock.until(rotate(h1!, true));
    cluster.heal();
    await cluster.clock.advance(30_000);
    checkSettled();
    expect(lost()).toEqual([]);
  });
});
