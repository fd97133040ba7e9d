/** Networks of the cluster and of Docker engines; `docker-chaos.test.ts` mixes it all. */
import { beforeEach, describe, expect, it } from 'vitest';
import { evictNode } from '../../src/agent/cluster/eviction.ts';
import { withdrawAll } from '../../src/agent/engine/withdraw-all.ts';
import { DRIVER, NETWORK_OPTION } from '../../src/core/engine/engine.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/ports/runtime.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { dockerNetwork, useEngines } from './engine-story.ts';
import type { NetworkSpec } from './fake-libnetwork.ts';
import type { SimulatedHost } from './simulated-cluster.ts';
import { silent } from './simulated-cluster.ts';

const warnings: string[] = [];
const log: Logger = { ...silent, warn: (_fields, message) => void warnings.push(message), child: () => log };
const { cluster, hosts, now, until, pass, create, run, stored, claims, addresses, offered } = useEngines(log);
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(() => {
  warnings.length = 0;
  [one, two] = hosts();
});

describe('networks', () => {
  it('of the cluster are on every engine, also on one that starts later', async () => {
    two.engine.kill();
    await create('web');
    expect(offered(one)).toEqual(['web']);
    expect(offered(two)).toEqual([]);
    void two.engine.start();
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
    await run(two, 'api', { web: {} });
  });

  it('are there when the command that makes them returns', async () => {
    const { id } = await until(one.running.networks.create(networkRequest('web')));
    await until(one.engineSide!.networks.awaitOffer(id));
    expect(offered(one)).toEqual(['web']);
  });

  it('are there when a new member has waited for them', async () => {
    await two.stop();
    for (let i = 0; i < 5; i++) await create(`n${i}`);
    await until(two.start());
    expect(offered(two)).toEqual([]);
    expect(await until(two.engineSide!.networks.awaitAll())).toBe(true);
    expect(offered(two)).toEqual(['n0', 'n1', 'n2', 'n3', 'n4']);
  });

  it('of a new member without an engine are not waited for', async () => {
    two.engine.kill();
    await two.stop();
    await create('web');
    await until(two.start());
    const before = now();
    expect(await until(two.engineSide!.networks.awaitAll())).toBe(true);
    expect(now() - before).toBeLessThan(1_000);
    void two.engine.start();
    await pass(1_000);
  });

  it('do not wait for an engine that is not there', async () => {
    one.engine.kill();
    await pass(10);
    const { id } = await until(one.running.networks.create(networkRequest('web')));
    const before = now();
    await until(one.engineSide!.networks.awaitOffer(id));
    expect(now()).toBe(before);
    void one.engine.start();
    await pass(1_000);
  });

  it('that an engine which hangs was not offered are told, and logged once, until it answers', async () => {
    const problems = async () => (await until(one.engineSide!.status()))!.problems.join();
    const logged = () => warnings.filter((message) => message.includes('could not be offered'));
    one.engine.frozen = true;
    await create('web');
    await pass(60_000);
    expect(offered(one)).toEqual([]);
    expect(await problems()).toContain("not offered to this host's Docker until it answers");
    expect(logged()).toHaveLength(1);
    one.engine.frozen = false;
    await pass(12_000);
    expect(offered(one)).toEqual(['web']);
    expect(await problems()).toBe('');
    // An engine that is gone is told of as such.
    one.engine.frozen = true;
    await create('db');
    await pass(12_000);
    one.engine.kill();
    one.engine.frozen = false;
    await pass(12_000);
    expect(await problems()).toBe('');
    expect(logged()).toHaveLength(2);
    void one.engine.start();
    await pass(1_000);
    expect(offered(one)).toEqual(['db', 'web']);
  });

  it('that a person makes with one engine are made everywhere as that person said', async () => {
    const subnet = {
      cidr: '10.9.0.0/24',
      gateway: '10.9.0.7',
      ipRange: '10.9.0.128/25',
      auxAddresses: { nas: '10.9.0.130' },
    };
    const options = { mtu: '1300' };
    await until(one.engine.createNetworkAs(dockerNetwork('web', { subnet, options, internal: true })));
    await pass(1_000);
    expect(one.line.log.filter((method) => method === 'requestPool')).toHaveLength(1);
    expect(offered(two)).toEqual(['web']);
    expect(two.running.networks.list()).toMatchObject([{ name: 'web', internal: true, options, subnets: [subnet] }]);
    await run(two, 'api', { web: {} });
    expect(addresses()).toEqual(['10.9.0.128']);
    const corp = (dns: string) => until(one.engine.createNetworkAs(dockerNetwork('corp', { options: { dns } })));
    await expect(corp('10.9.0.53')).rejects.toThrow('10.9.0.53 lies in 10.9.0.0/24 of network web');
    await corp('192.0.2.53,[2001:db8::53]:5353');
    await pass(1_000);
    const { options: given } = two.running.networks.list().find(({ name }) => name === 'corp')!;
    expect(given).toEqual({ dns: '192.0.2.53,[2001:db8::53]:5353' });
  });

  it('without our IPAM driver, or without a name for the cluster, are refused and leave nothing', async () => {
    const refused = (spec: NetworkSpec) => expect(until(one.engine.createNetworkAs(spec))).rejects;
    await refused(dockerNetwork('web', { ipamDriver: undefined })).toThrow("needs overlayd's IPAM driver too");
    await refused(dockerNetwork('web', { ipamOptions: {} })).toThrow('net=NAME is missing');
    await refused(dockerNetwork('web', { ipamOptions: { network: 'web' } })).toThrow('unknown --ipam-opt "network"');
    await refused(dockerNetwork('web', { options: { mtu: 'much' } })).toThrow('not a whole number');
    expect(stored('networks')).toEqual([]);
  });

  it('may have another name with one engine', async () => {
    await create('web');
    const { cidr } = one.running.networks.list()[0]!.subnets[0]!;
    const spec = { ipamOptions: { [NETWORK_OPTION]: 'web' }, subnet: { cidr } };
    await until(one.engine.createNetworkAs(dockerNetwork('alias', spec)));
    const { attachments } = await run(one, 'api', { alias: {} });
    await run(two, 'db', { web: {} });
    expect(addresses()).toEqual(['10.0.0.2', '10.0.0.3']);
    expect(attachments.get('alias')?.endpoint?.address).toBe('10.0.0.2/24');
    // Its removal is not the cluster's business.
    await until(one.engine.stopContainer('api'));
    await until(one.engine.removeNetworkAs('alias'));
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
  });

  it('that differ from what is there already are refused', async () => {
    await create('web', { subnets: ['10.9.0.0/24'] });
    const refused = (spec: Partial<NetworkSpec>) =>
      expect(until(one.engine.createNetworkAs(dockerNetwork('alias', { ...spec, ipamOptions: { net: 'web' } }))))
        .rejects;
    await refused({ subnet: { cidr: '10.8.0.0/24' } }).toThrow('has subnet 10.9.0.0/24, not 10.8.0.0/24');
    await refused({ subnet: { cidr: '10.9.0.0/24', ipRange: '10.9.0.0/28' } }).toThrow('has no --ip-range');
    await refused({ subnet: { cidr: '10.9.0.0/24', gateway: '10.9.0.9' } }).toThrow('has gateway 10.9.0.1');
    await refused({ subnet: { cidr: '10.9.0.0/24' }, internal: true }).toThrow('is not --internal');
    await refused({ subnet: { cidr: '10.9.0.0/24' }, options: { mtu: '1300' } }).toThrow('mtu=(unset)');
    await pass(1_000);
    expect(offered(one)).toEqual(['web']);
  });

  it('that a person removes from one engine are removed everywhere', async () => {
    await create('web');
    await until(two.engine.removeNetworkAs('web'));
    await pass(1_000);
    expect([offered(one), offered(two)]).toEqual([[], []]);
    expect(stored('networks')).toEqual([]);
  });

  it('that a person removes one after the other are all removed, though the engine lists none that it is removing', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    for (const name of names) await create(name);
    await pass(120_000);
    for (const name of names) await until(two.engine.removeNetworkAs(name));
    await pass(1_000);
    expect(stored('networks')).toEqual([]);
    expect([offered(one), offered(two)]).toEqual([[], []]);
  });

  it('come back when they are removed while another host uses them', async () => {
    await create('web');
    await run(one, 'api', { web: {} });
    await until(two.engine.removeNetworkAs('web'));
    expect(offered(two)).toEqual([]);
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
  });

  it('that came back are those that containers which do not run will join', async () => {
    await create('web');
    await run(one, 'api', { web: {} });
    await run(two, 'db', { web: { aliases: ['pg'], ip: '10.0.0.50' } });
    await until(two.engine.stopContainer('db'));
    await until(two.engine.removeNetworkAs('web'));
    await pass(1_000);
    await until(two.engine.startContainer('db'));
    await pass(1_000);
    expect(addresses()).toEqual(['10.0.0.2', '10.0.0.50']);
  });

  it.each(['web', 'project_web'])(
    'that a person made, as %s, and cannot remove come back too, and containers with them',
    async (name) => {
      await until(two.engine.createNetworkAs(dockerNetwork(name, { ipamOptions: { [NETWORK_OPTION]: 'web' } })));
      await pass(1_000);
      await run(one, 'api', { web: {} });
      await run(two, 'db', { [name]: { aliases: ['pg'] } });
      await until(two.engine.stopContainer('db'));
      await until(two.engine.removeNetworkAs(name).catch(() => undefined));
      await pass(2_000);
      expect(offered(two)).toEqual(['web']);
      await until(two.engine.startContainer('db'));
      await pass(1_000);
      expect(claims().find((claim) => claim.name === 'db')?.aliases).toContain('pg');
      expect([...two.engine.containers.values()].map(({ attachments }) => [...attachments.keys()])).toEqual([['web']]);
    },
  );

  it('that came back are those of every container, whatever becomes of another one', async () => {
    await create('web');
    await run(one, 'api', { web: {} });
    for (const name of ['a', 'b', 'c']) {
      await run(two, name, { web: {} });
      await until(two.engine.stopContainer(name));
    }
    const connect = two.engine.connect.bind(two.engine);
    const failures = [
      new OverlaydError('engine-unavailable', 'the Docker Engine does not answer', { retryable: true }),
      new OverlaydError('engine-refused', 'the Docker Engine refused: container is marked for removal'),
    ];
    two.engine.connect = async (...request) => {
      const failure = failures.shift();
      if (failure) throw failure;
      await connect(...request);
    };
    await until(two.engine.removeNetworkAs('web'));
    await pass(5_000);
    expect((await two.engineSide!.status())?.problems).toEqual([]);
    await expect(until(two.engine.startContainer('a'))).rejects.toThrow('not found');
    await until(two.engine.startContainer('b'));
    await until(two.engine.startContainer('c'));
  });

  it('are removed by a call that waited for an agent that was just being started anew', async () => {
    await create('web');
    await pass(120_000);
    const held = two.line.hold('deleteNetwork');
    const removed = two.engine.removeNetworkAs('web');
    await until(held.reached);
    await two.crash();
    await two.start();
    await pass(40_000);
    held.release();
    await until(removed);
    await pass(1_000);
    expect([offered(one), offered(two)]).toEqual([[], []]);
    expect(stored('networks')).toEqual([]);
  });

  it('come back when they are removed while the agent is not there to refuse it', async () => {
    await create('web');
    await run(two, 'db', { web: {} });
    await until(two.engine.stopContainer('db'));
    await two.crash();
    await until(two.engine.removeNetworkAs('web'));
    await two.start();
    await pass(1_000);
    expect(offered(two)).toEqual(['web']);
    await until(two.engine.startContainer('db'));
  });

  it('come back a minute later when the engine does not remember that it removed them', async () => {
    await create('web');
    await two.crash();
    await until(two.engine.removeNetworkAs('web'));
    two.engine.kill();
    void two.engine.start();
    await two.start();
    await pass(55_000);
    expect(offered(two)).toEqual([]);
    await pass(40_000);
    expect(offered(two)).toEqual(['web']);
  });

  it('whose name the engine has given away are told of, and offered once it is free', async () => {
    await until(one.engine.createNetworkAs(dockerNetwork('web', { driver: 'bridge', ipamDriver: undefined })));
    await create('web');
    expect((await one.engineSide!.status())?.problems).toEqual([
      "Docker has another network named web (driver bridge): containers cannot join overlayd's by that name; remove or rename that one",
    ]);
    await until(one.engine.removeNetworkAs('web'));
    await pass(1_000);
    expect((await one.engineSide!.status())?.problems).toEqual([]);
    expect([...one.engine.objects.values()]).toMatchObject([{ name: 'web', driver: DRIVER }]);
  });

  it('that an engine takes back while it makes them stay in the cluster', async () => {
    one.engine.diskFull = true;
    await create('web');
    await pass(60_000);
    expect([offered(one), offered(two)]).toEqual([[], ['web']]);
    expect((await one.engineSide!.status())?.problems).toEqual([
      expect.stringContaining('Docker refused network web: '),
    ]);
    one.engine.diskFull = false;
    await pass(60_000);
    expect(offered(one)).toEqual(['web']);
  });

  it('whose making the engine did not survive are offered again', async () => {
    const held = one.line.hold('createNetwork');
    const created = until(one.running.networks.create(networkRequest('web')));
    await until(held.reached);
    held.release();
    await created;
    await pass(2);
    one.engine.kill();
    void one.engine.start();
    await pass(120_000);
    expect(offered(one)).toEqual(['web']);
  });

  it('that an agent offers twice, because it was killed in between, are one in the end', async () => {
    const held = one.line.hold('requestPool');
    await until(two.running.networks.create(networkRequest('web')));
    await until(held.reached);
    await one.crash();
    await one.start();
    await pass(1_000);
    held.release();
    await pass(1_000);
    expect(one.line.log.filter((method) => method === 'createNetwork')).toHaveLength(2);
    expect(offered(one)).toEqual(['web']);
  });

  it('are known again by what the engine keeps of them when the agent has lost what it knew', async () => {
    await create('web');
    await one.crash();
    one.loseEngineMemory();
    await one.start();
    await pass(1_000);
    await run(one, 'api', { web: {} });
    await until(one.engine.removeContainer('api'));
    await until(one.engine.removeNetworkAs('web'));
    await pass(1_000);
    expect(stored('networks')).toEqual([]);
  });

  it('go from the engine of a host that leaves, and stay in the cluster', async () => {
    await create('web');
    two.leaving = true;
    await until(withdrawAll(two.engine, silent));
    expect(offered(two)).toEqual([]);
    await pass(1_000);
    expect(offered(one)).toEqual(['web']);
    two.leaving = false;
    await pass(120_000);
  });

  it('are neither made nor removed by the engine of a host that is no member any more', async () => {
    await create('web');
    const { store, running } = one;
    const deps = { store, commit: running.commit, clock: cluster().clock };
    await until(evictNode(deps, 'node2', { by: 'node1', quarantineSeconds: 60 }));
    await pass(1_000);
    await expect(until(two.engine.createNetworkAs(dockerNetwork('jobs')))).rejects.toThrow('(not-joined)');
    await until(two.engine.removeNetworkAs('web'));
    await pass(5_000);
    expect(offered(one)).toEqual(['web']);
    expect(one.running.networks.list().map(({ name }) => name)).toEqual(['web']);
  });
});
