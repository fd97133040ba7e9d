/** The path to a member, and what it leaves of the underlay. */
import { describe, expect, it } from 'vitest';
import { innerMtu, mtuLimit, mtuProblems, refuseTooLargeMtu } from '../../../src/core/inner-mtu.ts';
import { isEncrypted, networkSettings } from '../../../src/core/network-options.ts';
import type { WireguardOffer } from '../../../src/core/records.ts';
import { backendOf, pathTo, refuseUnreachable, tunnelEndOf, wireguardMtu } from '../../../src/core/underlay.ts';
import { controlOf, numberOfControl, numberOfVtep, vtepOf } from '../../../src/core/wireguard/addresses.ts';
import { World } from '../../contract/kernel-world.ts';
import { nodeRecord } from '../../fixtures/records.ts';

const KEY = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';
const offer = (number: number): WireguardOffer => ({
  backend: 'kernel',
  keys: [
    { publicKey: KEY, number, port: 51820 },
    { publicKey: KEY, number: number + 1, port: 51821 },
  ],
});
const self = nodeRecord({ vtep: '192.0.2.1' });
const encrypted = { options: { encrypted: '' } };

describe('the path to a member', () => {
  it('is plain between the addresses of both', () => {
    const member = nodeRecord({ vtep: '192.0.2.2', dataPathPort: 4790 });
    expect(pathTo('plain', self, member)).toEqual({
      ...{ backend: 'plain', local: '192.0.2.1', remote: '192.0.2.2', port: 4790 },
    });
  });

  it('of WireGuard goes to the first key of the offer, over whatever is outside', () => {
    const member = nodeRecord({ vtep: '192.0.2.2', dataPathPort: 4790, wireguard: offer(258) });
    expect(pathTo('wireguard', self, member)).toEqual({
      ...{ backend: 'wireguard', local: undefined, remote: '198.18.1.2', port: 4789 },
    });
    const overIpv6 = nodeRecord({ vtep: '2001:db8::2', wireguard: offer(7) });
    expect(pathTo('wireguard', self, overIpv6)).toMatchObject({ remote: '198.18.0.7' });
  });

  it('is not there to who offers nothing, nor in clear through NAT', () => {
    expect(pathTo('wireguard', self, nodeRecord({ vtep: '192.0.2.2' }))).toBeUndefined();
    const behind = nodeRecord({ vtep: '192.0.2.2', wireguard: offer(3), nat: true });
    expect(pathTo('plain', self, behind)).toBeUndefined();
    expect(pathTo('plain', behind, self)).toBeUndefined();
    expect(pathTo('wireguard', self, behind)).toMatchObject({ remote: '198.18.0.3' });
    expect(() => refuseUnreachable('plain', behind, 'web')).toThrow(
      /network web is not encrypted, and h1 is behind NAT/,
    );
    expect(() => refuseUnreachable('wireguard', behind, 'web')).not.toThrow();
    expect(() => refuseUnreachable('plain', self, 'web')).not.toThrow();
  });

  it('says where the socket of the tunnel is', () => {
    expect(tunnelEndOf('plain', self)).toEqual({ local: '192.0.2.1', port: 4789, socketAt: '' });
    expect(tunnelEndOf('wireguard', { ...self, dataPathPort: 4790 })).toEqual({
      ...{ local: undefined, port: 4789, socketAt: 'ovl-wg' },
    });
  });
});

it.each([
  [1, '198.18.0.1', '198.19.0.1'],
  [65_534, '198.18.255.254', '198.19.255.254'],
])('number %i has the addresses %s and %s', (number, vtep, control) => {
  expect([vtepOf(number), controlOf(number)]).toEqual([vtep, control]);
  expect([numberOfVtep(vtep), numberOfControl(control)]).toEqual([number, number]);
  expect([numberOfVtep(control), numberOfControl(vtep)]).toEqual([undefined, undefined]);
});

it.each(['198.18.0.0', '198.18.255.255', '198.17.0.1', '::c612:1', 'x'])('%s is nobody’s VTEP', (address) => {
  expect(numberOfVtep(address)).toBeUndefined();
});

describe('a network', () => {
  it.each([
    [{}, 'plain'],
    [{ encrypted: 'false' }, 'plain'],
    [{ encrypted: '' }, 'wireguard'],
    [{ encrypted: 'true' }, 'wireguard'],
    // Whatever a newer version means by it.
    [{ encrypted: 'strict' }, 'wireguard'],
  ] as const)('with the options %j is %s', (options, backend) => {
    expect(backendOf(networkSettings({ options }))).toBe(backend);
    expect(isEncrypted({ options })).toBe(backend === 'wireguard');
  });

  it.each([
    [1500, '10.77.0.2', 1450, 1386],
    [1400, '10.77.0.2', 1350, 1278],
    [1280, '10.77.0.2', 1230, 1166],
    [1500, '2001:db8::2', 1430, 1370],
    [1280, '2001:db8::2', 1210, 1150],
  ])('on an underlay of %i to %s has an MTU of %i, encrypted of %i', (underlayMtu, vtep, plain, inside) => {
    const world = new World('h1');
    world.addNode('h1', vtep, { underlayMtu });
    expect([innerMtu(world, { options: {} }), innerMtu(world, encrypted)]).toEqual([plain, inside]);
    const asking = (mtu: number) => ({ options: { ...encrypted.options, mtu: String(mtu) } });
    expect(() => refuseTooLargeMtu(world, asking(inside))).not.toThrow();
    expect(() => refuseTooLargeMtu(world, asking(inside + 1))).toThrow(
      `leaves ${inside} (the rest of its MTU is for WireGuard and VXLAN)`,
    );
  });

  // As wireguard-go does: what is larger than its MTU is padded from there on.
  it('that is encrypted has no packet that is too large when it is padded', () => {
    for (let underlay = 1_280; underlay <= 9_000; underlay++) {
      const mtu = wireguardMtu(underlay, 4);
      const padded = (bytes: number) => {
        const last = bytes > 1_420 ? bytes % 1_420 : bytes;
        return bytes - last + Math.min(Math.ceil(last / 16) * 16, 1_420);
      };
      for (let bytes = mtu - 20; bytes <= mtu; bytes++) expect(padded(bytes) + 60).toBeLessThanOrEqual(underlay);
      expect(mtu + 60).toBeGreaterThan(underlay - 16);
    }
  });

  it('that is plain does not mind the underlay of a member behind NAT', () => {
    const world = new World('h1');
    world.addNode('h1', '10.77.0.1');
    world.addNode('h2', '10.0.2.15', { underlayMtu: 1300, wireguard: offer(1), nat: true });
    expect([innerMtu(world, { options: {} }), innerMtu(world, encrypted)]).toEqual([1450, 1182]);
    expect([mtuLimit(world, { options: {} }), mtuLimit(world, encrypted)?.name]).toEqual([undefined, 'h2']);
    const named = (name: string, options: Readonly<Record<string, string>>) =>
      world.addNetwork(name, { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1', options });
    const networks = [named('clear', { mtu: '1400' }), named('closed', { mtu: '1400', encrypted: '' })];
    expect(mtuProblems(world, networks)).toEqual([
      expect.stringContaining('network closed has an MTU of 1400 by its option, and h2 (1300) leaves 1182'),
    ]);
  });
});
