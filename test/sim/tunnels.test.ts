/** WireGuard in a whole cluster: numbers, devices and peers, keys that are exchanged while packets flow, agents that die at any moment. */
import { afterEach, describe, expect, it } from 'vitest';
import { markLeft } from '../../src/agent/cluster/eviction.ts';
import { clearTunnels } from '../../src/agent/wireguard/clear-tunnels.ts';
import { decodeNode } from '../../src/core/record-codec.ts';
import { keys, type NetworkRecord, PREFIX } from '../../src/core/records.ts';
import { numberOfVtep, vtepOf } from '../../src/core/wireguard/addresses.ts';
import { networkRecord } from '../fixtures/records.ts';
import type { SimulatedClusterOptions } from './cluster-options.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;

afterEach(() => cluster.stop());

async function begin(count: number, options: Partial<SimulatedClusterOptions> = {}): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 1, ...options });
  await cluster.start(count);
  return cluster.hosts;
}

/** Written as it is: who may make one is another story. */
function encrypt(parts: Partial<NetworkRecord> = {}): NetworkRecord {
  const network = networkRecord({ options: { encrypted: 'true' }, ...parts });
  cluster.etcd.txn([], [{ kind: 'put', key: keys.network(network.id), value: JSON.stringify(network) }]);
  return network;
}

function nodes() {
  return cluster.etcd.entries(`${PREFIX}nodes/`).map(({ value }) => decodeNode(value)!);
}

/** As etcd has them: each number is that of the node in whose record it is, and nothing else is there. */
function checkNumbers(): void {
  const claimed = cluster.etcd.entries(keys.wireguards).map(({ key, value }) => [key, value]);
  const offered = nodes().flatMap(({ id, wireguard }) =>
    (wireguard?.keys ?? []).map(({ number }) => [keys.wireguard(number), id]),
  );
  expect(claimed.sort()).toEqual(offered.sort());
  expect(new Set(offered.map(([key]) => key)).size).toBe(offered.length);
}

/** Everybody reaches everybody at the address to which rows lead. */
function lost(): string[] {
  const running = cluster.running.filter(({ wireguard }) => wireguard.sending);
  return running.flatMap((from) =>
    running.flatMap((to) => {
      const key = from === to ? undefined : from.running.view.node(to.record.id)?.wireguard?.keys[0];
      if (!key || cluster.tunnels.delivers(from.wireguard, vtepOf(key.number))) return [];
      return [`${from.record.name} to ${to.record.name}`];
    }),
  );
}

/** What fails again and again is tried less and less often, and at once when there is news. */
async function expectSparing({ wireguard, running }: SimulatedHost): Promise<void> {
  const apply = wireguard.apply.bind(wireguard);
  let tries = 0;
  wireguard.apply = (ops) => {
    tries++;
    return apply(ops);
  };
  wireguard.takenPorts.add(51_840);
  wireguard.crash('ovlwg0');
  await cluster.clock.advance(60_000);
  expect(tries).toBeGreaterThan(3);
  expect(tries).toBeLessThan(12);
  wireguard.takenPorts.clear();
  running.wireguard.mark();
  await cluster.clock.advance(100);
  expect(running.findings.map(({ text }) => text)).toEqual([]);
  wireguard.apply = apply;
}

describe('keys', () => {
  it('are made, numbered and published where the cluster speaks of them, and devices only where they are used', async () => {
    const hosts = await begin(3);
    checkNumbers();
    expect(nodes().map(({ wireguard }) => wireguard?.keys.length)).toEqual([1, 1, 1]);
    for (const { keyFile, wireguard } of hosts) {
      expect(keyFile.content?.keys).toMatchObject([{ device: 'ovlwg0', number: expect.any(Number) }]);
      expect(wireguard.devices.size).toBe(0);
    }
    encrypt();
    await cluster.clock.advance(1_000);
    expect(lost()).toEqual([]);
    for (const { wireguard } of hosts) expect(wireguard.devices.get('ovlwg0')?.peers.size).toBe(2);
    const writes = hosts.map(({ wireguard }) => wireguard.writes);
    await cluster.clock.advance(120_000);
    expect(hosts.map(({ wireguard }) => wireguard.writes)).toEqual(writes);
    cluster.etcd.txn([], [{ kind: 'delete', key: keys.network('n1') }]);
    await cluster.clock.advance(1_000);
    for (const { wireguard } of hosts) expect([wireguard.devices.size, wireguard.hasPlace]).toEqual([0, false]);
  });

  it('are none below the level of encryption, nor where nothing runs WireGuard, until something does', async () => {
    const hosts = await begin(2, { agent: { version: '0.2.0', levels: { from: 1, to: 2 } } });
    await cluster.clock.advance(60_000);
    expect(cluster.etcd.entries(keys.wireguards)).toEqual([]);
    hosts[0]!.wireguard.offers = undefined;
    for (const host of hosts) {
      await host.stop();
      host.agent = { version: '0.3.0', levels: { from: 1, to: 3 } };
      await cluster.clock.until(host.start());
    }
    await cluster.clock.advance(3_000);
    checkNumbers();
    expect(nodes().map(({ wireguard }) => wireguard?.keys.length)).toEqual([undefined, 1]);
    hosts[0]!.wireguard.offers = 'kernel';
    await cluster.clock.advance(62_000);
    checkNumbers();
    expect(nodes().map(({ wireguard }) => wireguard?.backend)).toEqual(['kernel', 'wireguard-go']);
  });

  it('never have one number twice, though all hosts choose the same ones', async () => {
    cluster = new SimulatedCluster({ seed: 1, etcdMs: 30 });
    // Everybody begins with the first number.
    const { random } = cluster;
    const next = random.next.bind(random);
    cluster.random.next = () => 0;
    await cluster.start(12);
    await cluster.clock.advance(10_000);
    cluster.random.next = next;
    checkNumbers();
    expect(nodes().flatMap(({ wireguard }) => wireguard?.keys.length)).toEqual(Array(12).fill(1));
  });

  it('are back after etcd was put back to before them, with numbers of their own', async () => {
    const hosts = await begin(2);
    const backup = cluster.etcd.backUp();
    const third = await cluster.clock.until(cluster.join());
    encrypt();
    await cluster.clock.advance(3_000);
    // A claim of another one's, where the third had its own.
    const [key] = third.keyFile.content!.keys;
    cluster.etcd.restore(backup, cluster.etcd.revision + 1_000_000_000);
    cluster.etcd.txn([], [{ kind: 'delete', key: keys.wireguard(hosts[0]!.keyFile.content!.keys[0]!.number!) }]);
    cluster.etcd.txn([], [{ kind: 'put', key: keys.wireguard(key!.number!), value: hosts[1]!.record.id }]);
    await cluster.clock.advance(200_000);
    checkNumbers();
    encrypt();
    await cluster.clock.advance(20_000);
    expect(lost()).toEqual([]);
    expect(third.wireguard.devices.get('ovlwg0')?.peers.size).toBe(2);
  });

  it('of a member that is removed are gone from everybody at once, and its number is free', async () => {
    const [h1, , h3] = await begin(3);
    encrypt();
    await cluster.clock.advance(2_000);
    const { publicKey } = h3!.keyFile.content!.keys[0]!;
    await h3!.crash();

    const { commit } = h1!.running;
    await cluster.clock.until(markLeft({ commit, store: h1!.store }, h3!.record.id));
    await cluster.clock.advance(1_000);
    for (const { wireguard } of cluster.running)
      expect(wireguard.devices.get('ovlwg0')?.peers.has(publicKey)).toBe(false);
    checkNumbers();
    // Nothing of its own is taken down by a host that was removed: its agent is told what to do.
    await cluster.clock.until(h3!.start());
    await cluster.clock.advance(5_000);
    expect(h3!.wireguard.devices.size).toBe(1);
    checkNumbers();
  });
});

describe('devices', () => {
  it('stay as they are while agents are away, etcd is, or nobody knows what there is', async () => {
    const hosts = await begin(3);
    encrypt();
    await cluster.clock.advance(2_000);
    const writes = () => hosts.map(({ wireguard }) => wireguard.writes);
    const before = writes();
    for (const host of hosts) host.store.cut();
    await cluster.clock.advance(60_000);
    for (const host of hosts) {
      await host.stop();
      await cluster.clock.until(host.start());
    }
    await cluster.clock.advance(60_000);
    expect(lost()).toEqual([]);
    expect(writes()).toEqual(before);
    cluster.heal();
    await cluster.clock.advance(20_000);
    expect(writes()).toEqual(before);
  });

  it('are made again when what runs them ends, and tell where nobody answers', async () => {
    const [h1, h2] = await begin(2);
    encrypt();
    await cluster.clock.advance(2_000);
    h1!.wireguard.crash('ovlwg0');
    await cluster.clock.advance(1_000);
    expect(lost()).toEqual([]);
    expect(h1!.running.wireguard.peers()).toMatchObject([{ nodeId: 'node2', problem: undefined, device: 'ovlwg0' }]);
    h1!.wireguard.takenPorts.add(51_840);
    h1!.wireguard.crash('ovlwg0');
    await cluster.clock.advance(5_000);
    expect(h1!.running.findings.map(({ text }) => text)).toEqual([expect.stringContaining('51840')]);
    h1!.wireguard.takenPorts.clear();
    await cluster.clock.advance(5_000);
    expect(h1!.running.findings.map(({ text }) => text)).toEqual([]);
    await expectSparing(h1!);
    h2!.wireguard.vanish();
    // What is sent is counted, and nothing comes back.
    const [peer] = h1!.wireguard.devices.get('ovlwg0')!.peers.values();
    for (let second = 0; second < 50; second += 10) {
      peer!.sentBytes += 148;
      await cluster.clock.advance(10_000);
    }
    const [tunnel] = h1!.running.wireguard.peers();
    expect(tunnel!.problem).toMatch(
      /^nothing comes back though packets are sent: UDP 192\.0\.2\.2:51840 may be closed/,
    );
    expect(h1!.running.findings.map(({ text }) => text)).toEqual([`the tunnel to h2: ${tunnel!.problem}`]);
    expect(numberOfVtep(h2!.wireguard.source!)).toBe(h2!.keyFile.content!.keys[0]!.number);
  });

  it('tell of a peer that answers no packet though its agent does, until it does', async () => {
    const [h1, h2] = await begin(2);
    encrypt();
    await cluster.clock.advance(20_000);
    const [vtep, publicKey] = [h2!.wireguard.source!, h2!.keyFile.content!.keys[0]!.publicKey];
    cluster.tunnels.reaches = () => false;
    for (let seconds = 0; seconds < 30; seconds++) {
      cluster.tunnels.delivers(h1!.wireguard, vtep);
      await cluster.clock.advance(1_000);
    }
    expect(h1!.running.findings.map(({ text }) => text)).toEqual([
      expect.stringMatching(/the tunnel to h2: nothing comes back though packets are sent/),
    ]);
    expect(h2!.running.findings.map(({ text }) => text)).toEqual([]);
    cluster.tunnels.reaches = () => true;
    cluster.tunnels.delivers(h2!.wireguard, h1!.wireguard.source!);
    await cluster.clock.advance(11_000);
    expect(h1!.running.findings.map(({ text }) => text)).toEqual([]);

    // Keepalives alone are answered by nobody.
    for (let round = 0; round < 10; round++) {
      h1!.wireguard.devices.get('ovlwg0')!.peers.get(publicKey)!.sentBytes += 32;
      await cluster.clock.advance(10_000);
    }
    expect(h1!.running.findings.map(({ text }) => text)).toEqual([]);
  });

  it('are told of as they are, to who asks at this moment', async () => {
    const [h1, h2] = await begin(2);
    encrypt();
    await cluster.clock.advance(15_000);
    const sent = () => h1!.running.wireguard.peers()[0]!.sentBytes;
    const before = sent();
    cluster.tunnels.delivers(h1!.wireguard, h2!.wireguard.source!);
    await cluster.clock.until(h1!.running.wireguard.looked());
    expect(sent()).toBeGreaterThan(before);
    // Nor does anybody wait for long who asks while they cannot be looked at.
    h1!.wireguard.observe = () => new Promise(() => {});
    const at = cluster.clock.elapsed();
    await cluster.clock.until(h1!.running.wireguard.looked());
    expect(cluster.clock.elapsed() - at).toBeLessThanOrEqual(1_000);
  });

  it('that were made by halves leave nothing when the host leaves', async () => {
    const [h1] = await begin(1);
    const { wireguard } = h1!;
    wireguard.hasPlace = true;
    await cluster.clock.until(clearTunnels(wireguard));
    expect(wireguard.hasPlace).toBe(false);
  });
});

it('a host that joins a hundred costs each of them one peer, and etcd one write', { timeout: 300_000 }, async () => {
  const hosts = (await begin(100)).slice();
  encrypt();
  await cluster.clock.advance(5_000);
  const before = hosts.map(({ wireguard }) => wireguard.writes);
  const revision = cluster.etcd.revision;
  const late = await cluster.clock.until(cluster.join());
  await cluster.clock.advance(5_000);
  // The peer with a knock at it, and the knock taken back.
  expect(hosts.map(({ wireguard }, at) => wireguard.writes - before[at]!)).toEqual(Array(100).fill(2));
  // Its admission, its liveness, and its record with the number.
  expect(cluster.etcd.revision - revision).toBe(3);
  expect(late.wireguard.devices.get('ovlwg0')?.peers.size).toBe(100);
  checkNumbers();
});
