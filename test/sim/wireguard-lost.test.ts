/** A host that gets, and loses, what runs WireGuard: what others hear of it, and when. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { decodeNode } from '../../src/core/record-codec.ts';
import { keys, PREFIX } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const create = (host: SimulatedHost, name: string) =>
  until(host.running.networks.create(networkRequest(name, { options: { encrypted: 'true' } })));
const connect = (host: SimulatedHost, network: string) =>
  until(host.running.endpoints.connect({ network, container: host.addContainer(), aliases: [] }));
const offers = () =>
  cluster.etcd.entries(`${PREFIX}nodes/`).map(({ value }) => decodeNode(value)!.wireguard?.keys[0]?.publicKey);
const peersOf = ({ wireguard }: SimulatedHost) => wireguard.devices.get('ovlwg0')?.peers.size;

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 3 });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
});

afterEach(() => cluster.stop());

async function uninstall(host: SimulatedHost): Promise<void> {
  host.wireguard.offers = undefined;
  await cluster.clock.advance(70_000);
}

it('what is installed at this moment is found by the command that needs it', async () => {
  await uninstall(one);
  expect(offers()).toEqual([undefined, expect.any(String)]);
  await expect(create(one, 'web')).rejects.toMatchObject({ code: 'tool-missing' });
  one.wireguard.offers = 'wireguard-go';
  await create(one, 'web');
  await connect(one, 'web');
});

it('a container is connected on a host that has just got what it takes', async () => {
  await create(one, 'web');
  two.wireguard.offers = undefined;
  two.wireguard.crash('ovlwg0');
  await cluster.clock.advance(70_000);
  await expect(connect(two, 'web')).rejects.toMatchObject({ code: 'tool-missing' });
  two.wireguard.offers = 'kernel';
  await connect(two, 'web');
});

it('who lost it and runs it no more offers nothing, gives its number back, and is named; once it is back, with the same key', async () => {
  await create(one, 'web');
  await connect(two, 'web');
  const [, before] = offers();
  await uninstall(two);
  // What runs goes on.
  expect(offers()[1]).toBe(before);
  expect(peersOf(one)).toBe(1);
  two.wireguard.crash('ovlwg0');
  await cluster.clock.advance(5_000);
  expect(offers()[1]).toBeUndefined();
  expect(cluster.etcd.entries(keys.wireguards)).toHaveLength(1);
  expect(peersOf(one)).toBe(0);
  expect(two.running.findings.map(({ text }) => text)).toContainEqual(
    expect.stringContaining('which this host does not have'),
  );
  await expect(create(one, 'more')).rejects.toMatchObject({
    code: 'tool-missing',
    message: expect.stringContaining('which host h2 does not have'),
  });
  two.wireguard.offers = 'wireguard-go';
  await cluster.clock.advance(20_000);
  expect(offers()[1]).toBe(before);
  expect([peersOf(one), peersOf(two)]).toEqual([1, 1]);
  expect(two.running.findings.map(({ text }) => text)).toEqual([]);
});

it('an agent that starts and does not find out what there is takes nothing back', async () => {
  await create(one, 'web');
  const before = offers();
  const { backend } = two.wireguard;
  two.wireguard.backend = () => Promise.reject(new Error('the thread is gone'));
  await two.stop();
  await until(two.start());
  await cluster.clock.advance(70_000);
  expect(offers()).toEqual(before);
  two.wireguard.backend = backend;
});

it('what ended is told with its time, and by whom it was taken away does not count', async () => {
  await create(one, 'web');
  await cluster.clock.advance(1_000);
  expect(one.running.wireguard.backend.endings.count).toBe(0);
  one.wireguard.crash('ovlwg0');
  await cluster.clock.advance(5_000);
  expect(peersOf(one)).toBe(1);
  expect(one.running.wireguard.backend.endings).toEqual({ count: 1, lastMs: expect.any(Number) });
  await until(one.running.networks.remove('web', new AbortController().signal));
  await cluster.clock.advance(10_000);
  expect(one.wireguard.devices.size).toBe(0);
  expect(one.running.wireguard.backend.endings.count).toBe(1);
});

it('what ends while something is written is told as well', async () => {
  await create(one, 'web');
  await cluster.clock.advance(1_000);
  const apply = one.wireguard.apply.bind(one.wireguard);
  one.wireguard.apply = async (ops) => {
    const failures = await apply(ops);
    one.wireguard.apply = apply;
    one.wireguard.crash('ovlwg0');
    return failures;
  };
  await until(cluster.join());
  await cluster.clock.advance(5_000);
  expect(peersOf(one)).toBe(2);
  expect(one.running.wireguard.backend.endings.count).toBe(1);
});

it('an exchange of the key that is under way says what it waits for', async () => {
  await create(one, 'web');
  await cluster.clock.advance(1_000);
  expect(one.running.wireguard.rotation.why).toBeUndefined();
  const done = one.running.wireguard.rotation.rotate({ force: false }, () => {}, new AbortController().signal);
  await cluster.clock.advance(100);
  expect(one.running.wireguard.rotation.why).toEqual(expect.stringMatching(/./));
  await until(done);
  expect(one.running.wireguard.rotation.why).toBeUndefined();
});
