/** What a container tool asks for by a key of its own: as often as it likes, in whatever order. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Attachments } from '../../src/agent/attachments/attachments.ts';
import type { Owner } from '../../src/core/attachment.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { hostContainers } from './host-containers.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let attachments: Attachments;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  one = cluster.hosts[0]!;
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(1_000);
  attachments = new Attachments({ member: () => one.running, containers: hostContainers(one) });
});
afterEach(() => cluster.stop());

const OWNER: Owner = { tool: 'podman', key: '1a2b eth0', names: 'told' };
const attach = (container: string, owner = OWNER) =>
  cluster.clock.until(attachments.attach({ network: 'web', container, name: 'api', aliases: [], owner }));
const detach = (owner = OWNER) => cluster.clock.until(attachments.detach(owner));

it('is the same endpoint as often as it is asked for in one namespace', async () => {
  const container = one.addContainer();
  const { record } = (await attach(container)).endpoint;
  expect(record).toMatchObject({ name: 'api', tool: 'podman', addresses: [{ ip: '10.0.0.2' }] });
  expect((await attach(container)).endpoint.record.id).toBe(record.id);
  expect(one.running.local.all()).toHaveLength(1);
  await checkQuiet(cluster);
});

it('publishes a port for one of two containers that ask for it at the same moment', async () => {
  const published = [{ protocol: 'tcp', hostPort: 8080, port: 80 }] as const;
  const ask = (name: string) =>
    attachments.attach({
      ...{ network: 'web', container: one.addContainer(), name, aliases: [], published },
      owner: { ...OWNER, key: name },
    });
  const [first, second] = await cluster.clock.until(Promise.allSettled([ask('a'), ask('b')]));
  expect(first!.status).toBe('fulfilled');
  expect(second).toMatchObject({ reason: { code: 'conflict', message: expect.stringContaining('8080/tcp') } });
  await expect(cluster.clock.until(ask('c'))).rejects.toThrow(/published by podman for its container a already/);
});

it('is another one in another namespace, and the former is released', async () => {
  const { record } = (await attach(one.addContainer())).endpoint;
  const again = (await attach(one.addContainer())).endpoint.record;
  expect(again.id).not.toBe(record.id);
  expect(one.running.local.all().map((each) => each.record.id)).toEqual([again.id]);
  await checkQuiet(cluster);
});

it('is let go of by its key, once, with its namespace gone or not, and by an agent that did not make it', async () => {
  const container = one.addContainer();
  await attach(container);
  await cluster.clock.until(one.crash());
  await cluster.clock.until(one.start());
  await cluster.clock.advance(1_000);
  one.killContainer(container);
  expect(await detach()).toBe(true);
  expect(await detach()).toBe(false);
  expect(one.running.local.all()).toEqual([]);
  await cluster.clock.advance(1_000);
  await checkQuiet(cluster);
});

it('is not found by the key of another tool', async () => {
  await attach(one.addContainer());
  expect(await detach({ ...OWNER, tool: 'cni' })).toBe(false);
  expect(attachments.all('podman')).toHaveLength(1);
});

it('is not disconnected under its tool’s hands unless somebody insists', async () => {
  await attach(one.addContainer());
  await expect(one.running.endpoints.disconnect('web', 'api', false)).rejects.toThrow(/asked for by podman.*--force/);
  await cluster.clock.until(one.running.endpoints.disconnect('web', 'api', true));
  expect(one.running.local.all()).toEqual([]);
});

it('leaves the resolver’s file to a tool that is told the servers, and reports them', async () => {
  const told = (await attach(one.addContainer())).endpoint;
  expect([...one.resolvers.values()]).toEqual([]);
  expect(attachments.report(told)).toMatchObject({
    addresses: [{ address: '10.0.0.2', prefix: 24, family: 4, gateway: '10.0.0.1' }],
    ...{ ifname: 'eth0', mtu: 1450, defaultGateways: ['10.0.0.1'], nameServers: ['10.0.0.1'] },
  });
  const file = await cluster.clock.until(
    attachments.attach({
      ...{ network: 'web', container: one.addContainer(), name: 'db', aliases: [] },
      owner: { tool: 'cni', key: 'd', names: 'file' },
    }),
  );
  expect(one.resolvers.get(file.endpoint.container.text)).toEqual(['10.0.0.1']);
});
