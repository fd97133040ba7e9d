import { afterEach, describe, expect, it } from 'vitest';
import { evictNode } from '../../src/agent/cluster/eviction.ts';
import type { AgentVersion } from '../../src/core/levels.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { firstAddress, keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkInvariants, checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const forever = new AbortController().signal;
let cluster: SimulatedCluster;

async function make(hosts: number, seed = 1, agent?: AgentVersion): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed, ...(agent && { agent }) });
  await cluster.start(hosts);
  return cluster.hosts;
}

const connect = (host: SimulatedHost, network: string, options: { name?: string; ip?: string } = {}) =>
  host.running.endpoints.connect({ network, container: host.addContainer(), aliases: [], ...options });

afterEach(async () => {
  checkInvariants(cluster);
  await cluster.stop();
});

describe('a cluster', () => {
  it('has a network on every node when create returns, and its endpoints on every node when connect returns', async () => {
    const [h1, h2, h3] = await make(3);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    for (const host of cluster.hosts) expect(host.running.networks.list().map(({ name }) => name)).toEqual(['web']);

    const { endpoint } = await cluster.clock.until(connect(h2!, 'web', { name: 'api' }));
    for (const host of cluster.hosts) {
      expect(host.running.view.endpoint(endpoint.record)?.addresses.map(({ ip }) => ip)).toEqual(['10.0.0.2']);
    }
    await cluster.clock.until(connect(h3!, 'web'));
    await checkQuiet(cluster);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'lets exactly one of two racing creations of a name win (seed %i)',
    async (seed) => {
      const [h1, h2] = await make(2, seed);
      const results = await cluster.clock.until(
        Promise.allSettled([
          h1!.running.networks.create(networkRequest('web')),
          h2!.running.networks.create(networkRequest('web')),
        ]),
      );
      expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      const lost = results.find((result) => result.status === 'rejected');
      expect(String(lost?.reason)).toContain('network with name web already exists');
      expect(cluster.etcd.entries('/overlayd/v2/networks/')).toHaveLength(1);
      expect(cluster.etcd.entries('/overlayd/v2/vnis/')).toHaveLength(1);
    },
  );

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('never gives overlapping subnets to racing creations (seed %i)', async (seed) => {
    const hosts = await make(4, seed);
    const subnets = ['10.1.0.0/16', '10.1.2.0/24', '10.1.0.0/16', '10.1.2.128/25'];
    const results = await cluster.clock.until(
      Promise.allSettled(
        hosts.map((host, i) => host.running.networks.create(networkRequest(`n${i}`, { subnets: [subnets[i]!] }))),
      ),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results)
      if (result.status === 'rejected') expect(String(result.reason)).toContain('pool overlaps');
  });

  it('re-chooses automatic subnets and VNIs, so that all racing creations win', async () => {
    const hosts = await make(5);
    const made = await cluster.clock.until(
      Promise.all(hosts.map((host, i) => host.running.networks.create(networkRequest(`n${i}`)))),
    );
    expect(new Set(made.map(({ vni }) => vni)).size).toBe(5);
    expect(new Set(made.map(({ subnets }) => subnets[0]!.cidr)).size).toBe(5);
  });

  it('gives 120 endpoints that are connected at once on five hosts 120 addresses', async () => {
    const hosts = await make(5);
    await cluster.clock.until(hosts[0]!.running.networks.create(networkRequest('web')));
    const connected = await cluster.clock.until(
      Promise.all(Array.from({ length: 120 }, (_, i) => connect(hosts[i % 5]!, 'web'))),
    );
    expect(new Set(connected.map(({ endpoint }) => firstAddress(endpoint.record))).size).toBe(120);
    await checkQuiet(cluster);
  });

  it('gives a hundred hosts that connect at the same moment a hundred addresses', async () => {
    const hosts = await make(100);
    await cluster.clock.until(hosts[0]!.running.networks.create(networkRequest('web')));
    await cluster.clock.advance(1_000);
    const made = await cluster.clock.until(Promise.all(hosts.map((host) => connect(host, 'web'))));
    expect(new Set(made.map(({ endpoint }) => firstAddress(endpoint.record))).size).toBe(100);
  });

  it('claims nothing for a node that is being removed, whenever that begins', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    let claim: Promise<unknown> | undefined;
    const store = cluster.etcd.store('node1');
    const { list } = store;
    store.list = async (prefix) => {
      const listed = await list.call(store, prefix);
      // The eviction has seen no endpoint of the node now, and goes on once the claim is decided.
      if (prefix === keys.endpointsOf('node2')) {
        claim ??= connect(h2!, 'web').catch((error: unknown) => error);
        await claim;
      }
      return listed;
    };
    const options = { by: 'node1', quarantineSeconds: 60 };
    await cluster.clock.until(evictNode({ store, commit: h1!.running.commit, clock: cluster.clock }, 'node2', options));
    expect(await claim).toMatchObject({ code: 'not-joined' });
    expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toEqual([]);
    expect(cluster.etcd.entries('/overlayd/v2/nodes/')).toHaveLength(1);
  });

  it('claims on although its own record has just changed', async () => {
    const [h1] = await make(1);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    const value = encodeRecord({ ...h1!.record, underlayMtu: 9_000 });
    cluster.etcd.txn([], [{ kind: 'put', key: keys.node(h1!.record.id), value }]);
    await cluster.clock.until(connect(h1!, 'web'));
  });

  it('gives a static address to one of two hosts that race for it, and tells the other who has it', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    const results = await cluster.clock.until(
      Promise.allSettled([
        connect(h1!, 'web', { ip: '10.0.0.9', name: 'a' }),
        connect(h2!, 'web', { ip: '10.0.0.9', name: 'b' }),
      ]),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const lost = results.find((result) => result.status === 'rejected');
    expect(String(lost?.reason)).toMatch(/address already in use: 10\.0\.0\.9 belongs to [ab] on h[12]/);
    await checkQuiet(cluster);
  });

  it('refuses a full network with counts, and goes on after a disconnect', async () => {
    const [h1] = await make(1);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('tiny', { subnets: ['10.5.0.0/29'] })));
    for (let i = 0; i < 5; i++) await cluster.clock.until(connect(h1!, 'tiny'));
    await expect(cluster.clock.until(connect(h1!, 'tiny'))).rejects.toThrow('5 used, 0 free, 0 quarantined');
    await cluster.clock.until(h1!.running.endpoints.disconnect('tiny', 'netns:c3', false));
    const { endpoint } = await cluster.clock.until(connect(h1!, 'tiny'));
    expect(firstAddress(endpoint.record)).toBe('10.5.0.4');
    await checkQuiet(cluster);
  });

  it('does not use a released address again at once', async () => {
    const [h1] = await make(1);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    await cluster.clock.until(connect(h1!, 'web'));
    await cluster.clock.until(h1!.running.endpoints.disconnect('web', 'netns:c1', false));
    const { endpoint } = await cluster.clock.until(connect(h1!, 'web'));
    expect(firstAddress(endpoint.record)).toBe('10.0.0.3');
  });
});

describe('removal of a network', () => {
  it('is refused while anybody uses it, and frees name, VNI and subnet once all members let go', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    await cluster.clock.until(connect(h2!, 'web', { name: 'api' }));
    await expect(cluster.clock.until(h1!.running.networks.remove('web', forever))).rejects.toThrow(
      'network web has active endpoints: api on h2',
    );
    await cluster.clock.until(h2!.running.endpoints.disconnect('web', 'api', false));
    const removed = await cluster.clock.until(h1!.running.networks.remove('web', forever));
    expect(removed.waitingFor).toEqual([]);
    for (const prefix of ['networks/', 'network-names/', 'vnis/', 'network-acks/', 'quarantine/']) {
      expect(cluster.etcd.entries(`/overlayd/v2/${prefix}`)).toEqual([]);
    }
    await checkQuiet(cluster);
  });

  it('waits for a member that is down, keeps its VNI and subnet meanwhile, and names it', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web', { subnets: ['10.9.0.0/24'] })));
    await h2!.crash();
    const removed = await cluster.clock.until(h1!.running.networks.remove('web', forever));
    expect(removed.waitingFor).toEqual(['h2']);
    await expect(
      cluster.clock.until(h1!.running.networks.create(networkRequest('other', { subnets: ['10.9.0.0/24'] }))),
    ).rejects.toThrow('network web (being removed)');
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    await h2!.start();
    await cluster.clock.advance(5_000);
    expect(cluster.etcd.entries('/overlayd/v2/subnets/10.9')).toEqual([]);
    await checkQuiet(cluster);
  });
});

describe('faults', () => {
  it('a killed agent comes back to whole endpoints and changes nothing in the kernel', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    await cluster.clock.until(connect(h1!, 'web'));
    await cluster.clock.until(connect(h2!, 'web'));
    await cluster.clock.advance(5_000);
    await h1!.crash();
    const writes = h1!.kernel.writes;
    await h1!.start();
    await cluster.clock.advance(30_000);
    expect(h1!.kernel.writes).toBe(writes);
    await checkQuiet(cluster);
  });

  it('a container that dies is released everywhere', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    const { endpoint } = await cluster.clock.until(connect(h1!, 'web'));
    h1!.killContainer('netns:c1');
    await cluster.clock.advance(5_000);
    expect(h2!.running.view.endpoint(endpoint.record)).toBeUndefined();
    expect(h1!.running.local.all()).toEqual([]);
    await checkQuiet(cluster);
  });

  it('pruning while a member is down takes as long for many networks as for one', async () => {
    const [h1, , h3] = await make(3);
    for (let i = 0; i < 30; i++) {
      await cluster.clock.until(h1!.running.networks.create(networkRequest(`n${i}`)));
    }
    await h3!.crash();
    const before = cluster.clock.now();
    const pruned = await cluster.clock.until(h1!.running.networks.prune(() => true, forever));
    expect(pruned.map(({ waitingFor }) => waitingFor)).toEqual(Array.from({ length: 30 }, () => ['h3']));
    expect(cluster.clock.now() - before).toBeLessThan(5_000);
  });

  it("the host of the cluster's etcd says so in its record, also in one of a version that did not", async () => {
    // Later keepers write it into a record of their own.
    const [h1, h2] = await make(2, 1, { version: '0.1.0', levels: { from: 1, to: 3 } });
    expect(h2!.running.view.node(h1!.record.id)!.holdsStore).toBeUndefined();
    await h1!.stop();
    Object.assign(h1!.record, { holdsStore: true });
    await h1!.start();
    await cluster.clock.advance(5_000);
    expect(h2!.running.view.node(h1!.record.id)!.holdsStore).toBe(true);
    expect(h1!.running.view.node(h2!.record.id)!.holdsStore).toBeUndefined();
  });

  it('a host that reboots releases what was on it', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    await cluster.clock.until(connect(h1!, 'web'));
    await cluster.clock.until(connect(h2!, 'web'));
    expect([...h1!.resolvers.values()]).toEqual([['10.0.0.1']]);
    // The disk follows what is kept by a moment.
    await cluster.clock.advance(1_000);
    await h1!.reboot();
    await h1!.start();
    expect([...h1!.resolvers.keys()]).toEqual([]);
    await cluster.clock.advance(10_000);
    expect(h2!.running.view.addresses(h2!.running.networks.list()[0]!.id).size).toBe(1);
    await checkQuiet(cluster);
  });

  it('a container that was connected right before the power was lost has no resolver of ours any more', async () => {
    const [h1] = await make(1);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    await cluster.clock.until(connect(h1!, 'web'));
    // The disk has not followed.
    await h1!.reboot();
    expect([...h1!.resolvers.values()]).toEqual([['10.0.0.1']]);
    await h1!.start();
    expect([...h1!.resolvers.keys()]).toEqual([]);
    await cluster.clock.advance(10_000);
    expect(h1!.running.view.addresses(h1!.running.networks.list()[0]!.id).size).toBe(0);
    await checkQuiet(cluster);
  });

  it('a minority serves what it has, refuses new claims with the cause, and agrees again after healing', async () => {
    const hosts = await make(5);
    await cluster.clock.until(hosts[0]!.running.networks.create(networkRequest('web')));
    for (const host of hosts) await cluster.clock.until(connect(host, 'web'));
    cluster.partition(hosts.slice(0, 3), hosts.slice(3), hosts.slice(3));
    await cluster.clock.advance(20_000);
    await cluster.clock.until(connect(hosts[1]!, 'web'));
    await expect(cluster.clock.until(connect(hosts[4]!, 'web'))).rejects.toThrow(/etcd|store/);
    expect(hosts[4]!.running.local.all()).toHaveLength(1);
    expect(hosts[0]!.running.liveness('node4')).not.toBe('ready');
    expect(hosts[0]!.running.liveness('node2')).toBe('ready');
    cluster.heal();
    await cluster.clock.advance(3_000);
    expect(hosts[0]!.running.liveness('node4')).toBe('ready');
    await cluster.clock.advance(7_000);
    await checkQuiet(cluster);
  });

  it('news reaches a member that etcd does not', async () => {
    const [h1, h2, h3] = await make(3);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    h3!.store.cut();
    await cluster.clock.advance(5_000);
    cluster.network.cut('node1', 'node3');
    const { endpoint } = await cluster.clock.until(connect(h1!, 'web'));
    await cluster.clock.advance(3_000);
    expect(h3!.running.view.endpoint(endpoint.record)).toBeDefined();
    expect(h2!.running.view.endpoint(endpoint.record)).toBeDefined();
    cluster.heal();
    await cluster.clock.advance(10_000);
    await checkQuiet(cluster);
  });

  it('a claim whose outcome etcd never told leaves nothing behind', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    h1!.store.loseReplies();
    await expect(cluster.clock.until(connect(h1!, 'web'))).rejects.toThrow();
    await cluster.clock.advance(15_000);
    expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toEqual([]);
    await cluster.clock.until(connect(h2!, 'web'));
    await checkQuiet(cluster);
  });

  it('a restart without etcd keeps endpoints and rows', async () => {
    const [h1, h2] = await make(2);
    await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    await cluster.clock.until(connect(h1!, 'web'));
    await cluster.clock.until(connect(h2!, 'web'));
    await cluster.clock.advance(5_000);
    for (const host of cluster.hosts) host.store.cut();
    await h1!.crash();
    const writes = h1!.kernel.writes;
    await h1!.start();
    await cluster.clock.advance(60_000);
    expect(h1!.kernel.writes).toBe(writes);
    expect(h1!.running.view.addresses(h1!.running.networks.list()[0]!.id).size).toBe(2);
    cluster.heal();
    await cluster.clock.advance(20_000);
    await checkQuiet(cluster);
  });
});

describe('what members need of the address space', () => {
  const settle = () => cluster.clock.advance(10_000);

  it('is never chosen, and refused by name, also when it changes while the agents run', async () => {
    const [h1, h2] = await make(2);
    h2!.facts.servers = ['10.0.0.2'];
    await settle();
    const made = await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    expect(made.subnets[0]?.cidr).toBe('10.0.1.0/24');
    const asked = h1!.running.networks.create(networkRequest('x', { subnets: ['10.0.0.0/24'] }));
    await expect(cluster.clock.until(asked)).rejects.toThrow('10.0.0.2, a name server of host h2');
    h2!.facts.servers = [];
    await settle();
    await cluster.clock.until(h1!.running.networks.create(networkRequest('x', { subnets: ['10.0.0.0/24'] })));
  });

  it('includes an address of a host that no route leads to', async () => {
    const [h1, h2] = await make(2);
    h2!.facts.addressesNow = [...h2!.facts.addressesNow, { link: 'lo', address: '10.0.0.2', prefix: 32 }];
    h2!.facts.servers = ['192.0.2.250'];
    await settle();
    const made = await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    expect(made.subnets[0]?.cidr).toBe('10.0.1.0/24');
  });

  it('counts when it is published while a subnet is being chosen', async () => {
    const [h1, h2] = await make(2);
    const { txn } = h1!.store;
    let writes = 0;
    h1!.store.txn = async (compares, changes) => {
      if (writes++ === 0) {
        h2!.facts.servers = ['10.0.0.2'];
        await cluster.clock.sleep(10_000);
      }
      return txn.call(h1!.store, compares, changes);
    };
    const made = await cluster.clock.until(h1!.running.networks.create(networkRequest('web')));
    expect(made.subnets[0]?.cidr).toBe('10.0.1.0/24');
  });

  it('does not stop networks where one member sends everything into a VPN', async () => {
    const [h1, h2] = await make(2);
    const vpn = { link: 'tun0', onLink: false, gateways: [] };
    h2!.facts.furtherRoutes = ['0.0.0.0/1', '128.0.0.0/1', '10.0.0.0/8'].map((destination) => ({
      destination,
      ...vpn,
    }));
    h2!.facts.servers = ['192.0.2.250'];
    await settle();
    expect(h1!.running.view.node('node2')?.hostRoutes).toContain('10.0.0.0/8');
    for (const options of [{}, { subnets: ['10.3.0.0/24'] }, { internal: true }]) {
      const name = `n${Object.keys(options).join('')}`;
      await cluster.clock.until(h1!.running.networks.create(networkRequest(name, options)));
    }
  });
});
