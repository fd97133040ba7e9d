/** The host's own address changes, while nobody has anything to say. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { generatePrivateKey, publicKeyOf } from '../../../src/adapters/wireguard/keys.ts';
import type { WireguardWorld } from '../../contract/wireguard.ts';
import { until } from '../../lab/until.ts';
import { type LabWireguard, openWorld } from './wireguard-host.ts';

const PORT = 51_820;

let world: WireguardWorld;
let hosts: readonly [LabWireguard, LabWireguard];

beforeAll(async () => {
  world = await openWorld('wireguard-go');
  hosts = world.hosts as unknown as readonly [LabWireguard, LabWireguard];
});
afterAll(async () => {
  await world?.clear();
  await world?.close();
});

it('is followed by whom it talked to', async () => {
  const keys = [1, 2].map((number) => ({ privateKey: generatePrivateKey(), address: `198.18.0.${number}` }));
  for (const [at, { wireguard }] of hosts.entries()) {
    const { privateKey, address } = keys[1 - at]!;
    const [endpoint, allowedIps] = [`${hosts[1 - at]!.address}:${PORT}`, [`${address}/32`]];
    const peer = { publicKey: publicKeyOf(privateKey), endpoint, allowedIps, keepaliveSeconds: 0 };
    const device = { name: 'ovlwg0', ...keys[at]!, port: PORT, mtu: 1_420, peers: [peer] } as const;
    const ops = [
      { kind: 'add-device', device },
      { kind: 'send-by', name: 'ovlwg0', address: device.address },
    ] as const;
    expect(await wireguard.apply(ops)).toEqual([]);
  }
  const [one, two] = hosts;
  const moved = one.address.replace(/\d+$/, '200');
  expect(await one.ping('198.18.0.2')).toBe(true);
  const peerOf = async ({ wireguard }: LabWireguard) => (await wireguard.observe()).devices[0]!.peers[0]!;
  expect((await peerOf(two)).endpoint).toBe(`${one.address}:${PORT}`);

  const quit = new AbortController();
  const changes = one.wireguard.changes(quit.signal)[Symbol.asyncIterator]();
  await changes.next();
  await one.host.must(['ip', 'address', 'add', `${moved}/24`, 'dev', 'eth0']);
  await one.host.must(['ip', 'address', 'del', `${one.address}/24`, 'dev', 'eth0']);
  // An address that was the second one goes with the first, unless the host promotes it.
  await one.host.run(['ip', 'address', 'replace', `${moved}/24`, 'dev', 'eth0']);
  await until('the other one to follow', async () => (await peerOf(two)).endpoint === `${moved}:${PORT}`);
  // It was set for a moment, so that something is sent at once.
  await until('no keepalive to be left', async () => (await peerOf(one)).keepaliveSeconds === 0);
  quit.abort();
  await changes.return?.(undefined);
});
