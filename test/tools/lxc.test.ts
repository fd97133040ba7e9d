/** What docs/lxc.md shows is what happens, with Debian's LXC; and what a container that ends or starts in other ways leaves. */
import { expect, test } from 'vitest';
import { endpointNames, endpointRows } from '../lab/docker-network.ts';
import { blocksOf, examplesOf, pageOf, runExample } from '../lab/examples.ts';
import { Lxc } from '../lab/lxc.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let lxc: Lxc;
const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    lxc = await Lxc.open(hosts[0]!);
    await lxc.create('db', { lines: lines() });
  },
});
const [one, two] = [() => lab().host(1), () => lab().host(2)];

/** The page's, of a network. */
function lines(network = 'web', ...options: readonly string[]): readonly string[] {
  const { text = '' } = blocksOf(pageOf('lxc')).find(({ language }) => language === 'ini') ?? {};
  const asked = text.trim().split('\n');
  expect(asked).toHaveLength(3);
  return asked.map((line) => line.replace('connect web', ['connect', ...options, network].join(' ')));
}

const pings = (from: string, to: string) => lxc.must(['lxc-attach', from, '--', 'ping', '-c', '1', '-W', '5', to]);

test.each(examplesOf('lxc'))('%s', async (_, steps) => {
  await runExample(steps, (host, command) => {
    return host === 1 ? lxc.shell(command) : two().run(['sh', '-c', command]);
  });
});

test('is connected anew whenever it starts, and nothing of former runs is left or in the way', async () => {
  await one().mustOverlayd('network', 'create', '--subnet', '10.71.0.0/24', 'again');
  await attach(two(), 'near', 'again');
  await lxc.create('again', { lines: lines('again', '--ip', '10.71.0.9', '--alias', 'store') });
  await lxc.must(['lxc-start', 'again']);
  await two().mustExec('near', ['ping', '-c', '1', '-W', '5', 'store']);
  const init = async () => (await lxc.must(['lxc-info', '-n', 'again', '-pH'])).trim();
  const isAnew = async (former: string) => {
    await until('another run', async () => /^\d+$/.test(await init()) && (await init()) !== former);
    await until('its name', async () => (await two().exec('near', ['ping', '-c', '1', '-W', '2', 'store'])).code === 0);
    await pings('again', 'near');
    const rows = (await endpointRows(one())).filter(({ Network }) => Network === 'again');
    expect(rows.map(({ Name, IPv4Address }) => `${Name} ${IPv4Address}`).sort()).toEqual([
      'again 10.71.0.9/24',
      'near 10.71.0.2/24',
    ]);
  };
  // LXC itself starts it again, in its own time.
  let former = await init();
  await lxc.must(['lxc-attach', 'again', '--', 'reboot']);
  await isAnew(former);
  // At once.
  former = await init();
  await lxc.must(['sh', '-c', 'lxc-stop -k again && lxc-start again']);
  await isAnew(former);
  // The process alone.
  former = await init();
  await lxc.must(['sh', '-c', `kill -9 ${former}; lxc-wait -n again -s STOPPED; lxc-start again`]);
  await isAnew(former);
  await one().agent.kill();
  await one().agent.start();
  await pings('again', 'near');
  await lxc.must(['lxc-stop', '-k', 'again']);
  await until('its end', async () => (await endpointNames(one())).join() === 'near');
});

test('is not started without the network, and says why', async () => {
  await lxc.create('lost', { lines: lines('nowhere') });
  const log = '/run/lxc-lost.log';
  const { code } = await lxc.run(['lxc-start', '-l', 'DEBUG', '-o', log, 'lost']);
  expect([code, await lxc.must(['cat', log])]).toEqual([1, expect.stringMatching(/network nowhere|"nowhere"/)]);
  expect((await lxc.run(['lxc-info', '-n', 'lost', '-s'])).stdout).toContain('STOPPED');
});

test('keeps a resolver’s file that is its own, and one behind a link', async () => {
  await one().mustOverlayd('network', 'create', 'kept');
  const resolver = { '/etc/resolv.conf': 'nameserver 192.0.2.53\n' };
  await lxc.create('own', { lines: lines('kept'), files: resolver });
  await lxc.must(['lxc-start', 'own']);
  expect(await lxc.must(['lxc-attach', 'own', '--', 'cat', '/etc/resolv.conf'])).toBe(resolver['/etc/resolv.conf']);
  await lxc.must(['lxc-stop', '-k', 'own']);
  await lxc.create('linked', { lines: lines('kept') });
  // Seen from the host it leads to the host's.
  const before = await lxc.must(['cat', '/etc/hosts']);
  await lxc.must(['ln', '-s', '/etc/hosts', '/var/lib/lxc/linked/rootfs/etc/resolv.conf']);
  await lxc.must(['lxc-start', 'linked']);
  expect(await lxc.must(['cat', '/etc/hosts'])).toBe(before);
  await lxc.must(['lxc-stop', '-k', 'linked']);
});

test('reaches containers of other kinds by name, under an id map too, and they reach it', async () => {
  await one().mustOverlayd('network', 'create', 'kinds');
  await attach(two(), 'of-netns', 'kinds');
  const mapped = ['lxc.idmap = u 0 100000 65536', 'lxc.idmap = g 0 100000 65536'];
  await lxc.create('of-lxc', { lines: [...lines('kinds'), ...mapped] });
  await lxc.must(['chown', '-R', '100000:100000', '/var/lib/lxc/of-lxc/rootfs']);
  await lxc.must(['lxc-start', 'of-lxc']);
  await pings('of-lxc', 'of-netns');
  await two().mustExec('of-netns', ['ping', '-c', '1', '-W', '5', 'of-lxc']);
  expect(await lxc.must(['lxc-attach', 'of-lxc', '--', 'stat', '-c', '%u', '/etc/resolv.conf'])).toBe('0\n');
  const rows = (await endpointRows(two())) as readonly { Name: string; Network: string; Tool?: string }[];
  const here = rows.filter(({ Network }) => Network === 'kinds');
  expect(here.map(({ Name, Tool }) => [Name, Tool]).sort()).toEqual([
    ['of-lxc', 'lxc'],
    ['of-netns', 'netns'],
  ]);
  await lxc.must(['lxc-stop', '-k', 'of-lxc']);
  await until('its end', async () => (await endpointNames(two())).includes('of-lxc') === false);
});
