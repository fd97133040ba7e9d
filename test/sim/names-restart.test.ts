import { afterEach, expect, it } from 'vitest';
import { firstAddress } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { addressesIn, question, read } from '../unit/core/dns/messages.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
afterEach(() => cluster.stop());

async function connect(host: SimulatedHost, alias: string): Promise<string> {
  const request = { network: 'web', container: host.addContainer(), aliases: [alias] };
  const { endpoint } = await cluster.clock.until(host.running.endpoints.connect(request));
  return firstAddress(endpoint.record);
}

const networkOf = (host: SimulatedHost) => host.running.view.networkByName('web')!.id;

/** Two hosts with an endpoint each, `here` on the second. Asks the second's agent for a name, from its endpoint. */
async function setUp(seed: number) {
  cluster = new SimulatedCluster({ seed });
  await cluster.start(2);
  const [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  const { id: networkId } = await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  const there = await connect(one, 'there');
  const here = await connect(two, 'here');
  const ask = (name: string, type: 'A' | 'AAAA' = 'A') => {
    const client = { networkId, address: here, transport: 'udp' } as const;
    return two.names.handler(question(name, type), client);
  };
  return { one, two, networkId, here, there, ask };
}

it.each([
  [1, false],
  [2, false],
  [3, false],
  [1, true],
  [2, true],
  [3, true],
  [4, true],
  [5, true],
])('says no wrong no about any name, however early it is asked (seed %i, process lost: %s)', async (seed, lost) => {
  const { two, networkId, there, ask } = await setUp(seed);
  await two.crash();
  if (lost) two.names.kill();
  await two.start();
  expect([...two.listening.keys()]).toEqual([networkId]);
  const answers: { readonly rcode: string; readonly addresses: readonly string[] }[] = [];
  const note = (message: Uint8Array | undefined) =>
    message && answers.push({ rcode: read(message).rcode, addresses: addressesIn(read(message)) });
  for (let i = 0; i < 600; i++) {
    void Promise.resolve(ask('there')).then(note);
    await cluster.clock.advance(5);
  }
  expect(answers).toEqual(Array(600).fill({ rcode: 'NOERROR', addresses: [there] }));
});

it('answers all that was known while the agent is away, and when it is back without etcd and peers', async () => {
  const { one, two, here, there, ask } = await setUp(1);
  const expectAll = () => {
    expect(addressesIn(read(ask('here') as Uint8Array))).toEqual([here]);
    expect(addressesIn(read(ask('there') as Uint8Array))).toEqual([there]);
    expect(read(ask('nope') as Uint8Array).rcode).toBe('NXDOMAIN');
    expect(ask('www.example')).toBeInstanceOf(Promise);
  };
  await two.crash();
  expectAll();
  await one.stop();
  cluster.etcd.stop('silent');
  await two.start();
  for (let i = 0; i < 100; i++) {
    expectAll();
    await cluster.clock.advance(100);
  }
});

it.each([1, 2, 3])('an agent that comes back takes away what went meanwhile (seed %i)', async (seed) => {
  const { one, two, there, ask } = await setUp(seed);
  const other = await connect(one, 'other');
  await cluster.clock.advance(1_000);
  await two.crash();
  const [gone] = [...one.running.view.addresses(networkOf(one))].filter(([address]) => address === there);
  await cluster.clock.until(one.running.endpoints.disconnect('web', gone![1].name, false));
  expect(addressesIn(read(ask('there') as Uint8Array))).toEqual([there]);
  await two.start();
  await cluster.clock.advance(5_000);
  expect(read(ask('there') as Uint8Array).rcode).toBe('NXDOMAIN');
  expect(addressesIn(read(ask('other') as Uint8Array))).toEqual([other]);
});

it('what went meanwhile goes also where a container of this host cannot be looked at', async () => {
  const { one, two, there, ask } = await setUp(1);
  const container = two.addContainer();
  await cluster.clock.until(two.running.endpoints.connect({ network: 'web', container, aliases: [] }));
  await two.crash();
  const [gone] = [...one.running.view.addresses(networkOf(one))].filter(([address]) => address === there);
  await cluster.clock.until(one.running.endpoints.disconnect('web', gone![1].name, false));
  two.kernel.blind.add(container.replace('netns:', '/run/netns/'));
  await two.start();
  await cluster.clock.advance(10_000);
  expect(two.running.reconciler.status().problems).toHaveLength(1);
  expect(read(ask('there') as Uint8Array).rcode).toBe('NXDOMAIN');
});

it('answers go on when the process dies, as far as the agent knows', async () => {
  const { two, here, there, ask } = await setUp(1);
  two.names.kill();
  expect(addressesIn(read(ask('here') as Uint8Array))).toEqual([here]);
  expect(addressesIn(read(ask('there') as Uint8Array))).toEqual([there]);
  await cluster.clock.advance(10);
  expect(read(ask('nope') as Uint8Array).rcode).toBe('NXDOMAIN');
});

it("without agent and process: the host's own endpoints at once, of the others that they are not known", async () => {
  const { one, two, here, ask } = await setUp(1);
  await two.crash();
  two.names.kill();
  await one.stop();
  cluster.etcd.stop('silent');
  await two.start();
  expect(addressesIn(read(ask('here') as Uint8Array))).toEqual([here]);
  // Who looks a name up asks for both, and waits for both.
  expect(read(ask('here', 'AAAA') as Uint8Array)).toMatchObject({ rcode: 'NOERROR', answers: [] });
  const other = ask('there');
  const foreign = ask('www.example');
  expect(other).toBeInstanceOf(Promise);
  expect(foreign).toBeInstanceOf(Promise);
  await cluster.clock.advance(2_000);
  expect(read((await other)!).rcode).toBe('SERVFAIL');
  expect(read((await foreign)!).rcode).toBe('SERVFAIL');
  expect(read(ask('there') as Uint8Array).rcode).toBe('SERVFAIL');
});
