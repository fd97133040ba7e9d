/** What a network's options mean holds for each of its subnets, also for one that it gets while it is in use. */
import { describe, expect, test } from 'vitest';
import type { Host } from '../lab/host.ts';
import { INTERNET } from '../lab/internet.ts';
import { attach, reaches, untilReaches, untilResolves } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const SUBNETS = ['10.64.0.0/24', '10.65.0.0/24', '10.66.0.0/24', 'fd00:64::/64', 'fd00:65::/64'] as const;

const lab = useLab({ hosts: 2, cluster: true });
const one = () => lab().host(1);
const two = () => lab().host(2);

/** By container: its host and its addresses. */
type Places = ReadonlyMap<string, readonly [host: Host, addresses: readonly string[]]>;

/** One container in each subnet but the last of a family, on either host, and then one in those, which the network gets last. */
async function make(name: string, ...options: readonly string[]): Promise<Places> {
  const [first, second, last, first6, last6] = SUBNETS;
  const given = [first, second, first6].flatMap((subnet) => ['--subnet', subnet]);
  await one().mustOverlayd('network', 'create', '--ipv6', ...given, ...options, name);
  const places = new Map<string, readonly [Host, readonly string[]]>();
  const add = async (host: Host, container: string, ...flags: readonly string[]) =>
    places.set(container, [host, (await attach(host, container, name, ...flags)).split('\n')]);
  for (const [at, host] of [one(), two()].entries()) {
    await add(host, `${name}a${at}`);
    await add(host, `${name}b${at}`, '--ip', `10.65.0.${10 + at}`);
  }
  for (const subnet of [last, last6]) await two().mustOverlayd('network', 'subnet', 'add', name, subnet);
  for (const [at, host] of [one(), two()].entries()) {
    await add(host, `${name}c${at}`, '--ip', `10.66.0.${10 + at}`, '--ip6', `fd00:65::${10 + at}`);
  }
  return places;
}

async function remove(name: string, places: Places): Promise<void> {
  for (const [container, [host]] of places)
    await host.mustOverlayd('network', 'disconnect', name, `netns:${container}`);
  await one().mustOverlayd('network', 'rm', name);
}

/** Every container with each address of every other one. */
function pairs(places: Places): readonly (readonly [host: Host, container: string, address: string])[] {
  return [...places].flatMap(([container, [host]]) =>
    [...places]
      .filter(([other]) => other !== container)
      .flatMap(([, [, addresses]]) => addresses.map((address) => [host, container, address] as const)),
  );
}

describe('containers that do not reach each other', () => {
  test('do so in no subnet, of the same or of different ones, on the same host or another', async () => {
    const places = await make('apart', '-o', 'enable_icc=false');
    for (const [container, [host, addresses]] of places) {
      const gateways = addresses.map((address) => address.replace(/(?<=[.:])\d+$/, '1'));
      for (const target of [...gateways, INTERNET]) await untilReaches(host, container, target);
      for (const [other, [, [address]]] of places) await untilResolves(host, container, other, [address!]);
    }
    const reached = await Promise.all(
      pairs(places).map(async (pair) => ((await reaches(...pair)) ? [pair.slice(1)] : [])),
    );
    expect(reached.flat()).toEqual([]);
    await remove('apart', places);
  });
});

describe('a network that is routed', () => {
  test('leaves with the addresses of each of its subnets, and its containers reach each other', async () => {
    const places = await make('edge', '-o', 'gateway_mode_ipv4=routed');
    await Promise.all(pairs(places).map((pair) => untilReaches(...pair)));
    for (const [container, [host, [address]]] of places) {
      expect(await reaches(host, container, INTERNET), container).toBe(false);
      // Whoever knows the way back answers.
      await lab().internet.must(['ip', 'route', 'add', `${address}/32`, 'via', host.address]);
      await untilReaches(host, container, INTERNET);
      expect((await lab().internet.run(['ping', '-q', '-c', '1', '-W', '1', address!])).code, container).not.toBe(0);
    }
    await remove('edge', places);
    await until('no problems', async () => (await one().json('status')).Problems.length === 0);
  });
});
