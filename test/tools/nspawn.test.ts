/** What docs/nspawn.md shows is what happens: its units, and its machine, on a Debian that was booted. */
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
