/** Published ports: what is refused, also of two who ask at the same moment. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Attachments } from '../../src/agent/attachments/attachments.ts';
import { listPublications, publish, unpublish } from '../../src/agent/publish/publishing.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { hostContainers } from './host-containers.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(1);
  one = cluster.hosts[0]!;
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await cluster.clock.advance(1_000);
});
afterEach(() => cluster.stop());

const ask = (text: string) => publish({ member: one.running, facts: { bindProblem: async () => undefined } }, text);
const ends = () => listPublications({ member: one.running }).map(({ hostPort, name }) => `${hostPort} ${name}`);

it('has one of two who ask for a port at the same moment', async () => {
  const asked = Promise.allSettled([ask('8080:web/api:80'), ask('8080:web/db:80')]);
  const outcomes = await cluster.clock.until(asked);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(ends()).toEqual(['8080 api']);
});

it('is not taken at an address that stays on the host, of a person or of a tool', async () => {
  for (const text of ['127.0.0.1:8080:web/api:80', '[::1]:8080:web/api:80']) {
    await expect(cluster.clock.until(ask(text))).rejects.toThrow(/stays on the host .*; publish at another address/);
  }
  const member = () => one.running;
  const attached = new Attachments({ member, containers: hostContainers(one) }).attach({
    ...{ network: 'web', container: one.addContainer(), name: 'api', aliases: [] },
    owner: { tool: 'podman', key: 'a b', names: 'told' },
    published: [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, port: 80 }],
  });
  await expect(cluster.clock.until(attached)).rejects.toThrow(/^127.0.0.1:8080\/tcp: what is sent to 127.0.0.1/);
  expect([one.running.local.all(), ends()]).toEqual([[], []]);
});

it('is finished by who asks for it again', async () => {
  const { running } = one;
  const container = one.addContainer();
  const { endpoint } = await cluster.clock.until(
    running.endpoints.connect({ network: 'web', container, name: 'api', aliases: [] }),
  );
  const refused = new Error('the kernel refuses');
  const { local, networks, self, view } = running;
  const failing = { local, networks, self, view, reconciler: { converge: () => Promise.reject(refused) } };
  const facts = { bindProblem: async () => undefined };
  const asked = publish({ member: failing as unknown as typeof running, facts }, '8080:web/api:80');
  await expect(cluster.clock.until(asked)).rejects.toBe(refused);
  const { publication } = await cluster.clock.until(ask('8080:web/api:80'));
  expect(publication.addresses).toEqual(endpoint.record.addresses.map(({ ip }) => ip));
  expect(ends()).toEqual(['8080 api']);
  await expect(cluster.clock.until(ask('8080:web/api:81'))).rejects.toThrow(/published for web\/api already/);
});

it('of a tool that asks at each network of a container is listed once, at the network by which it answers', async () => {
  await cluster.clock.until(one.running.networks.create(networkRequest('data')));
  const container = one.addContainer();
  const attachments = new Attachments({ member: () => one.running, containers: hostContainers(one) });
  for (const network of ['web', 'data']) {
    const owner = { tool: 'podman', key: `c ${network}`, container: 'c', names: 'told' } as const;
    const published = [{ protocol: 'tcp', hostPort: 8080, port: 80 } as const];
    await cluster.clock.until(attachments.attach({ network, container, name: 'api', aliases: [], owner, published }));
  }
  const listed = listPublications({ member: one.running });
  expect(listed.map(({ network, tool, waitsFor }) => [network?.name, tool, waitsFor])).toEqual([
    ['data', 'podman', undefined],
  ]);
  expect(listed[0]!.addresses).toHaveLength(1);
});

it('has one of a person and two containers that ask for a port at the same moment', async () => {
  const attachments = new Attachments({ member: () => one.running, containers: hostContainers(one) });
  const published = [{ protocol: 'tcp', hostPort: 8080, port: 80 } as const];
  const attach = (key: string) =>
    attachments.attach({
      ...{ network: 'web', container: one.addContainer(), name: key, aliases: [], published },
      owner: { tool: 'podman', key, names: 'told' },
    });
  for (const asked of [
    () => [attach('a1'), ask('8080:web/api:80'), attach('a2')],
    () => [ask('8080:web/api:80'), attach('b1'), attach('b2')],
    () => [attach('c1'), attach('c2'), ask('8080:web/api:80')],
  ]) {
    const outcomes = await cluster.clock.until(Promise.allSettled<unknown>(asked()));
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [String(outcome.reason)] : []));
    expect(refused, refused.join()).toHaveLength(2);
    for (const reason of refused) expect(reason).toMatch(/published (for|by)/);
    expect(listPublications({ member: one.running })).toHaveLength(1);
    for (const { record } of one.running.local.all())
      await cluster.clock.until(one.running.endpoints.disconnect('web', record.name, true));
    if (ends().length > 0) await cluster.clock.until(unpublish({ member: one.running }, '8080'));
    expect(ends()).toEqual([]);
  }
});
