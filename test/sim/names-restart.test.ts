import { afterEach, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { addressesIn, question, read } from '../unit/core/dns/messages.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
afterEach(() => cluster.stop());

async function connect(host: SimulatedHost, alias: string): Promise<string> {
  const request = { network: 'web', container: host.addContainer(), aliases: [alias] };
  const { endpoint } = await cluster.clock.until(host.running.endpoints.connect(request));
  return endpoint.record.address;
}

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
    return two.running.responder.handler(question(name, type), client);
  };
  return { one, two, networkId, here, there, ask };
}

it.each([1, 2, 3, 4, 5])('says no wrong no about any name, however early it is asked (seed %i)', async (seed) => {
  const { two, networkId, there, ask } = await setUp(seed);
  await two.crash();
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

it("answers for the host's own endpoints at once, without etcd and peers, and soon for the others as far as it knows", async () => {
  const { one, two, here, ask } = await setUp(1);
  await two.crash();
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
  expect(read((await other)!).rcode).toBe('NXDOMAIN');
  expect(read((await foreign)!).rcode).toBe('SERVFAIL');
  expect(ask('there')).toBeInstanceOf(Uint8Array);
});
