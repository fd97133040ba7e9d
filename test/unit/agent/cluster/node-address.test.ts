import { expect, test } from 'vitest';
import { chooseAddress } from '../../../../src/agent/cluster/node-address.ts';

const eth0 = { link: 'eth0', address: '10.0.0.1' };
const eth1 = { link: 'eth1', address: '192.168.7.1' };
const inner = ['lo', 'docker0', 'br-3f2a', 'virbr0', 'veth12ab', 'ovl-up4096', 'cni0', 'wg0'].map((link, i) => ({
  link,
  address: `172.17.${i}.1`,
}));
const choose = (addresses: readonly { link: string; address: string }[], requested = '') =>
  chooseAddress(addresses, requested, '--advertise-addr');

test('the only way to other hosts is taken, whatever bridges there are', () => {
  expect(choose([...inner, eth0])).toBe('10.0.0.1');
});

test('with several the user chooses, and the error lists them', () => {
  expect(() => choose([eth0, eth1, ...inner])).toThrow(
    /choose with --advertise-addr .*10\.0\.0\.1 \(eth0\), 192\.168\.7\.1 \(eth1\)$/,
  );
});

test('an address or a link of the host is what it says, also an inner one', () => {
  expect(choose([eth0, eth1], '192.168.7.1')).toBe('192.168.7.1');
  expect(choose([eth0, eth1], 'eth1')).toBe('192.168.7.1');
  expect(choose([eth0, ...inner], 'wg0')).toBe('172.17.7.1');
});

test.each([
  ['10.0.0.9', /10\.0\.0\.9 is not an address of this host; it has 10\.0\.0\.1 \(eth0\)/],
  ['eth7', /"eth7" is neither an IPv4 address nor a link with one; choose from/],
])('%s is refused with the choices', (requested, problem) => {
  expect(() => choose([eth0], requested)).toThrow(problem);
});

test('a link with several addresses, and a host with none, are refused', () => {
  expect(() => choose([eth0, { link: 'eth0', address: '10.0.0.2' }], 'eth0')).toThrow(/several addresses/);
  expect(() => choose(inner)).toThrow(/no address found .* --advertise-addr/);
});
