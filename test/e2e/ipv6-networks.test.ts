/** Networks with IPv6 on two hosts: their subnets, ways out of each family, and IPv6 that comes to a network in use. */
import { expect, test } from 'vitest';
import { containsCidr, overlaps, requireCidr } from '../../src/core/cidr.ts';
import { untilFlawless } from '../lab/cluster.ts';
import { addIpv6, OUTSIDE_IPV6, UNDERLAY_IPV6, underlayLink } from '../lab/dual-stack.ts';
import { INTERNET } from '../lab/internet.ts';
import { attach, reaches, resolve, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true, prepare: addIpv6 });
const one = () => lab().host(1);
const two = () => lab().host(2);
const lines = (text: string) => text.split('\n');

test('automatic subnets are of one /48 of the cluster, whichever host makes the network, and when', async () => {
  const names = ['auto1', 'auto2', 'auto3', 'auto4'];
  await Promise.all(names.map((name, i) => (i % 2 ? one() : two()).mustOverlayd('network', 'create', '--ipv6', name)));
  const networks = await until('all of them', async () => {
    const found = await one().json('network', 'inspect', ...names);
    return found.length === names.length && found;
  });
  const subnets = networks.map(({ IPAM }: { IPAM: { Config: { Subnet: string }[] } }) => IPAM.Config[1]!.Subnet);
  const blocks = subnets.map((text: string) => requireCidr(text, 'subnet'));
  const prefix = { ip: blocks[0].ip, prefix: 48 };
  for (const block of blocks) {
    expect(block.prefix).toBe(64);
    expect(containsCidr(requireCidr('fd00::/8', 'range'), block) && containsCidr(prefix, block)).toBe(true);
    expect(blocks.filter((other: typeof block) => overlaps(block, other))).toEqual([block]);
  }
  await one().mustOverlayd('network', 'rm', ...names);
});

test('each family goes out as its mode says', async () => {
  const options = ['--ipv6', '--subnet', '10.70.0.0/24', '--subnet', 'fd00:70::/64'];
  await one().mustOverlayd('network', 'create', ...options, '-o', 'gateway_mode_ipv6=routed', 'edge');
  await attach(two(), 'e1', 'edge');
  await untilReaches(two(), 'e1', INTERNET);
  expect(await reaches(two(), 'e1', OUTSIDE_IPV6)).toBe(false);
  await lab().internet.must(['ip', 'route', 'add', 'fd00:70::/64', 'via', `${UNDERLAY_IPV6}2`]);
  await untilReaches(two(), 'e1', OUTSIDE_IPV6);
  await one().mustOverlayd('network', 'create', '--ipv6', 'home');
  await attach(one(), 'h1', 'home');
  for (const address of [INTERNET, OUTSIDE_IPV6]) await untilReaches(one(), 'h1', address);
  await one().mustOverlayd('network', 'create', '--ipv6', '--internal', 'cellar');
  await attach(one(), 'k1', 'cellar');
  for (const address of [INTERNET, OUTSIDE_IPV6]) expect(await reaches(one(), 'k1', address)).toBe(false);
});

test('IPv6 comes to a network in use: what is connected goes on, what is connected then has both', async () => {
  await one().mustOverlayd('network', 'create', '--subnet', '10.71.0.0/24', 'web');
  expect(await attach(one(), 'w1', 'web')).toBe('10.71.0.2');
  expect(await attach(two(), 'w2', 'web')).toBe('10.71.0.3');
  await untilReaches(one(), 'w1', '10.71.0.3');
  const pinging = one().exec('w1', ['ping', '-n', '-q', '-i', '0.02', '-c', '200', '-W', '1', '10.71.0.3']);
  await two().mustOverlayd('network', 'subnet', 'add', 'web', 'fd00:71::/64');
  expect(lines(await attach(one(), 'w3', 'web'))).toEqual(['10.71.0.4', 'fd00:71::2']);
  expect(lines(await attach(two(), 'w4', 'web'))).toEqual(['10.71.0.5', 'fd00:71::3']);
  for (const target of ['fd00:71::3', 'fd00:71::1', '10.71.0.2', OUTSIDE_IPV6]) await untilReaches(one(), 'w3', target);
  await untilReaches(two(), 'w4', 'fd00:71::2');
  await untilReaches(one(), 'w1', '10.71.0.5');
  expect((await resolve(one(), 'w3', 'w4', 'AAAA')).values).toEqual(['fd00:71::3']);
  expect((await resolve(one(), 'w3', 'w2', 'AAAA')).values).toEqual([]);
  expect((await pinging).stdout).toContain(' 0% packet loss');
  await two().mustOverlayd('network', 'disconnect', 'web', 'netns:w2');
  const again = lines(await two().mustOverlayd('network', 'connect', 'web', 'netns:w2'));
  expect(again).toEqual([expect.stringMatching(/^10\.71\./), 'fd00:71::4']);
  await untilReaches(one(), 'w3', 'fd00:71::4');
  await one().mustOverlayd('ipam', 'check');
  await untilFlawless(one(), two());
});

test('a host that loses its IPv6 says so to its containers at once, until it has some again', async () => {
  const link = await underlayLink(one());
  const address = `${UNDERLAY_IPV6}1/64`;
  const from = () => one().exec('w3', ['ping', '-n', '-c', '1', '-W', '5', OUTSIDE_IPV6]);
  await one().must(['ip', 'address', 'del', address, 'dev', link]);
  await until('it to say so', async () => /From fd00:71::1 .*unreachable/.test((await from()).stdout));
  expect(await reaches(one(), 'w3', 'fd00:71::3')).toBe(true);
  await one().must(['ip', 'address', 'add', address, 'dev', link, 'nodad']);
  await one().must(['ip', '-6', 'route', 'replace', 'default', 'via', `${UNDERLAY_IPV6}254`]);
  await untilReaches(one(), 'w3', OUTSIDE_IPV6);
});

test('an underlay that becomes too narrow for IPv6 leaves it, and is told of', async () => {
  await two().must(['ip', 'link', 'set', await underlayLink(two()), 'mtu', '1300']);
  await until('the problem to be told', async () => {
    const { Problems } = await one().json('status');
    return Problems.join().includes('network web has an MTU of 1280 because IPv6 needs it, and h2');
  });
  await untilReaches(one(), 'w3', 'fd00:71::3');
  const refused = await one().overlayd('network', 'create', '--ipv6', 'late');
  expect(refused.stderr).toContain('leaves 1250 inside of networks; raise the MTU there, or leave IPv6 out');
  await two().must(['ip', 'link', 'set', await underlayLink(two()), 'mtu', '1500']);
  await until('it to be over', async () => (await one().json('status')).Problems.length === 0);
  const inside = () => one().mustExec('w3', ['ip', 'link', 'show', 'eth0']);
  await until('the links to follow', async () => (await inside()).includes('mtu 1450'));
});
