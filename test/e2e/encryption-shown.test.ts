/** Encrypted networks as people meet them: what is refused where WireGuard is missing, and what is shown where it is not. */
import { expect, test } from 'vitest';
import { joinArguments, untilFlawless } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2 });
const LACKS =
  'encrypted networks need WireGuard, which host h2 does not have: install the package wireguard-go, or a kernel that has the module wireguard there';

const ping = (host: Host) => host.exec('c1', ['ping', '-c', '1', '-W', '1', 'c2.web']);

/** A file that cannot be run is as good as none. Returns what ends it; undefined: the kernel needs no program. */
async function hideProgram(host: Host): Promise<(() => Promise<void>) | undefined> {
  const { code } = await host.run(['ip', 'link', 'add', 'probe', 'type', 'wireguard']);
  if (code === 0) {
    await host.must(['ip', 'link', 'del', 'probe']);
    return undefined;
  }
  const path = (await host.must(['sh', '-c', 'command -v wireguard-go'])).trim();
  await host.must(['sh', '-c', `: > /run/empty && mount --bind /run/empty ${path}`]);
  return async () => {
    await host.must(['umount', path]);
  };
}

test('a host without WireGuard is named by whoever makes an encrypted network', async ({ skip }) => {
  const [one, two] = [lab().host(1), lab().host(2)];
  const output = await one.mustOverlayd('init', '--encrypt', '--advertise-addr', one.address);
  const show = await hideProgram(two);
  const refused = await two.overlayd('init', '--encrypt', '--advertise-addr', two.address);
  const joined = await two.overlayd(...joinArguments(output));
  expect(joined.code).toBe(0);
  skip(show === undefined, 'the kernel has WireGuard: no host is without it');
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.stderr).toContain(LACKS);
  expect(joined.stderr).toContain(`warning: ${LACKS}`);

  expect((await one.overlayd('network', 'create', 'web')).stderr).toContain(LACKS);
  await one.mustOverlayd('network', 'create', '-o', 'encrypted=false', 'plain');
  expect(await two.mustOverlayd('node', 'ls')).toMatch(/^\S+ \* +h2 .* none /m);
  await show!();
  await two.agent.stop();
  await two.agent.start();
});

test('it is shown to be encrypted, and how each host is reached', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  await until('both to have WireGuard', async () => {
    const nodes: { Wireguard: { Backend: string } }[] = await one.json('node', 'ls');
    return nodes.length === 2 && nodes.every(({ Wireguard }) => Wireguard.Backend !== '');
  });
  await one.mustOverlayd('network', 'create', '--subnet', '10.40.0.0/24', 'web');
  for (const [host, name] of [[one, 'c1'] as const, [two, 'c2'] as const]) {
    await host.container(name);
    await host.mustOverlayd('network', 'connect', 'web', `netns:${name}`);
  }
  await until('c1 to reach c2', async () => (await ping(one)).code === 0);
  expect(await two.mustOverlayd('network', 'ls')).toMatch(/ web .* active \(encrypted\)$/m);
  const [network] = await one.json('network', 'inspect', 'web');
  expect(network).toMatchObject({ Encrypted: true, Options: { encrypted: 'true' }, Tunnels: [{ Node: 'h2' }] });
  const tunnel = await until('the look at the tunnels', async () => {
    const [{ Tunnel }] = (await one.json('status')).Peers;
    return Tunnel?.LastHandshake !== '' && Tunnel.ReceivedBytes > 0 ? Tunnel : undefined;
  });
  expect(tunnel).toMatchObject({ Device: 'ovlwg0', Endpoint: `${two.address}:51840`, Mtu: 1_436, Problem: '' });
  const [node] = await one.json('node', 'inspect', 'h2');
  expect(node).toMatchObject({ Wireguard: { Keys: [{ Port: 51_840 }] }, Tunnel: { Node: 'h2' } });
  await untilFlawless(one);
});
