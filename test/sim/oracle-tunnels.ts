/** Of the oracle: WireGuard's devices and peers. */
import { expect } from 'vitest';
import type { SimulatedHost } from './simulated-cluster.ts';
import { insideTunnels, isIpv6, type Truth } from './truth.ts';

/** A device for each own key, and on each of them all keys of all other members; nothing where nothing goes through tunnels. */
export function checkTunnels({ record, wireguard }: SimulatedHost, { members, usesTunnels }: Truth): void {
  const { id, name } = record;
  const own = usesTunnels ? (members.get(id)?.wireguard?.keys ?? []) : [];
  const devices = [...wireguard.devices.values()];
  const shown = (keys: readonly { readonly publicKey: string; readonly number: number }[]) =>
    keys.map(({ number, publicKey }) => `${publicKey} ${insideTunnels(number).vtep}`).sort();
  expect(devices.map(({ address, publicKey }) => `${publicKey} ${address}`).sort(), name).toEqual(shown(own));
  if (own.length === 0) return;
  expect(wireguard.source, `${name} sends by`).toBe(insideTunnels(own[0]!.number).vtep);
  const others = [...members.values()].filter((node) => node.id !== id);
  const peers = others.flatMap(({ nat, vtep, wireguard: offer }) =>
    (offer?.keys ?? []).map(({ number, port, publicKey }) => {
      const { control, vtep: inside } = insideTunnels(number);
      const endpoint = `${isIpv6(vtep) ? `[${vtep}]` : vtep}:${port}`;
      return `${publicKey} ${inside}/32,${control}/32 ${nat ? '' : endpoint}`;
    }),
  );
  const hidden = new Set(
    others.filter(({ nat }) => nat).flatMap(({ wireguard: offer }) => offer?.keys.map(({ publicKey }) => publicKey)),
  );
  for (const device of devices) {
    const seen = [...device.peers.values()].map(
      ({ allowedIps, endpoint, publicKey }) =>
        `${publicKey} ${[...allowedIps].sort()} ${hidden.has(publicKey) ? '' : endpoint}`,
    );
    expect(seen.sort(), `peers of ${device.name} on ${name}`).toEqual(peers.sort());
  }
}
