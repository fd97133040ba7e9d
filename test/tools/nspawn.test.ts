/** What docs/nspawn.md shows is what happens: its units, and its machine, on a Debian that was booted; beside other kinds. */
import { expect, test } from 'vitest';
import { Booted } from '../lab/booted.ts';
import { joinArguments } from '../lab/cluster.ts';
import { endpointNames, endpointRows } from '../lab/docker-network.ts';
import { blocksOf, examplesOf, pageOf, runExample } from '../lab/examples.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let booted: Booted;
const lab = useLab({
  hosts: 1,
  cluster: true,
  prepare: async (made) => {
    const two = await made.addHost('h2', 2);
    booted = await Booted.open(two);
    const start = 'systemctl enable --now overlayd.service || { journalctl --no-pager -u overlayd.service; exit 1; }';
    await booted.must(['sh', '-c', start]);
    const join = joinArguments(await made.host(1).mustOverlayd('token', 'create'));
    await booted.must(['overlayd', ...join, '--advertise-addr', two.address]);
  },
});
const one = () => lab().host(1);

/** The units of the page by their files, as the comments above them say. */
function units(): ReadonlyMap<string, string> {
  const { text = '' } = blocksOf(pageOf('nspawn')).find(({ language }) => language === 'ini') ?? {};
  const parts = text.split(/^# (\/etc\/[^\s:]+).*\n/m).slice(1);
  return new Map(parts.flatMap((path, nth) => (nth % 2 === 0 ? [[path, parts[nth + 1]!] as const] : [])));
}

test('a service is on a network by its units, knows names, and leaves nothing', async () => {
  await one().mustOverlayd('network', 'create', '--subnet', '10.66.0.0/24', 'web');
  await attach(one(), 'front', 'web');
  const files = new Map(units());
  expect([...files.keys()]).toEqual([
    '/etc/systemd/system/overlayd-netns@.service',
    '/etc/systemd/system/shop.service.d/network.conf',
  ]);
  files.set('/etc/systemd/system/shop.service', '[Service]\nExecStart=/usr/bin/busybox nc -ll -p 80 -e echo served\n');
  files.set(
    '/etc/systemd/system/asks.service',
    '[Service]\nType=oneshot\nExecStart=/usr/bin/busybox ping -c 1 -W 5 front\n',
  );
  // The same namespace, by the same lines.
  files.set('/etc/systemd/system/asks.service.d/network.conf', [...files.values()][1]!);
  for (const [path, text] of files)
    await booted.must(['sh', '-c', 'mkdir -p "$(dirname "$0")"; cat > "$0"', path], { input: text });
  await booted.must(['systemctl', 'daemon-reload']);
  await booted.must(['systemctl', 'start', 'shop.service']);
  const row = (await endpointRows(one())).find(({ Name }) => Name === 'shop');
  expect(row).toMatchObject({ Node: 'h2', Network: 'web', Tool: 'netns' });
  await until('the service to serve', async () => {
    const asked = await one().exec('front', ['busybox', 'nc', '-w', '5', 'shop', '80'], { input: '' });
    return asked.stdout === 'served\n';
  });
  await booted.must(['systemctl', 'start', 'asks.service']);
  // The agent's restart is none of the service's.
  const pid = async () => (await booted.must(['systemctl', 'show', '-P', 'MainPID', 'shop.service'])).trim();
  const before = await pid();
  await booted.must(['systemctl', 'restart', 'overlayd.service']);
  expect(await pid()).toBe(before);
  await one().mustExec('front', ['ping', '-c', '1', '-W', '5', 'shop']);
  await booted.must(['systemctl', 'stop', 'shop.service', 'overlayd-netns@shop.service']);
  expect(await endpointNames(one())).toEqual(['front']);
});

test.each(examplesOf('nspawn').filter(([, steps]) => steps.some(({ host }) => host === 2)))('%s', async (_, steps) => {
  await runExample(steps, (host, command) => {
    const argv = ['sh', '-c', command];
    return host === 1 ? one().run(argv) : booted.run(argv);
  });
  expect(await endpointNames(one())).toEqual(['front']);
});

test('a machine reaches containers of the other kinds by name, and they reach it', async () => {
  const flags = '--keep-unit --machine kin --directory /var/lib/machines/build --private-network --boot';
  const boot = `systemd-run -q -p Delegate=yes -p KillMode=mixed --unit kin systemd-nspawn ${flags}`;
  await booted.must(['sh', '-c', boot]);
  await until('machined to know it', async () => (await booted.run(['machinectl', 'show', 'kin'])).code === 0);
  await booted.must(['overlayd', 'network', 'connect', 'web', 'machine:kin']);
  const leader = (await booted.must(['machinectl', 'show', '-P', 'Leader', 'kin'])).trim();
  const process = one().spawn(['unshare', '--net', 'sh', '-c', 'ip link set lo up; echo $$; exec sleep 100000']);
  await expect.poll(() => process.output).toMatch(/^\d+\n/);
  await one().mustOverlayd('network', 'connect', '--name', 'plain', 'web', `pid:${process.output.trim()}`);
  const write = 'echo nameserver 10.66.0.1 > /etc/resolv.conf && exec "$@"';
  const inside = ['nsenter', '--target', leader, '--net', '--mount', 'sh', '-c', write, 'sh'];
  for (const name of ['front', 'plain']) await booted.must([...inside, 'busybox', 'ping', '-c', '1', '-W', '5', name]);
  await one().mustExec('front', ['ping', '-c', '1', '-W', '5', 'kin']);
  const rows = (await endpointRows(one())) as readonly { Name: string; Tool?: string }[];
  expect(rows.map(({ Name, Tool }) => [Name, Tool]).sort()).toEqual([
    ['front', 'netns'],
    ['kin', 'machine'],
    ['plain', 'pid'],
  ]);
  // Nobody says that it is over.
  await booted.must(['machinectl', 'kill', '--signal=KILL', 'kin']);
  await until('its end', async () => (await endpointNames(one())).join() === 'front,plain');
  process.drop();
});
