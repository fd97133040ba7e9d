/** One network with a container of each kind over three hosts: all reach each other by name, and listings say whose each is. */
import { expect, test } from 'vitest';
import { CniRuntime } from '../../lab/cni.ts';
import { Containerd } from '../../lab/containerd.ts';
import { endpointRows, runContainer, startEngines, untilOffered } from '../../lab/docker-network.ts';
import { Lxc } from '../../lab/lxc.ts';
import { PODMAN_FLAGS, Podman } from '../../lab/podman.ts';
import type { Outcome } from '../../lab/process.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 3, cluster: true });

const CONFIGURATION = '/etc/cni/net.d/87-overlayd-web.conflist';
const RESOLVER = '/run/web-resolv.conf';
/** Where a process has its host's resolver's file, it gets one that it can see alone. */
const WITH_RESOLVER = `mount --bind ${RESOLVER} /etc/resolv.conf && exec "$@"`;

test('containers of Docker, Podman, containerd, CNI, LXC, ip netns and plain processes are on one network', async () => {
  const [h1, h2, h3] = [lab().host(1), lab().host(2), lab().host(3)];
  await h1.mustOverlayd('network', 'create', '--subnet', '10.0.0.0/24', 'web');
  // Before there are namespaces below /run/netns, which its root would take along as it changes its own mounts.
  const lxc = await Lxc.open(h2);
  const containerd = new Containerd(h2);
  const podman = new Podman(h3);
  await Promise.all([startEngines([h1]).then(() => untilOffered(h1, ['web'])), containerd.start(), podman.start()]);
  await h3.agent.stop();
  await h3.agent.start(PODMAN_FLAGS);
  await until('Podman to have it', async () => (await podman.networks()).join() === 'web');
  await h2.must(['mount', '-t', 'tmpfs', 'tmpfs', '/opt']);
  await h2.mustOverlayd('cni', 'install', '--network', 'web');
  await h3.must(['sh', '-c', `echo nameserver 10.0.0.1 > ${RESOLVER}`]);

  await runContainer(h1, 'of-docker', '--network', 'web');
  await podman.runContainer('of-podman', '--network', 'web');
  await containerd.must(
    ...['run', '-d', '--cni', ...containerd.runFlags('of-ctr'), containerd.root, 'of-ctr', '/bin/sleep', 'infinity'],
  );
  await h2.container('of-cni');
  const runtime = new CniRuntime(h2);
  const list = await runtime.installed(CONFIGURATION);
  const { dns } = await runtime.add(list, { containerId: 'of-cni', netns: '/run/netns/of-cni' });
  const write = `mkdir -p /etc/netns/of-cni && echo nameserver ${dns.nameservers[0]} > /etc/netns/of-cni/resolv.conf`;
  await h2.must(['sh', '-c', write]);
  await h3.mustOverlayd('network', 'connect', 'web', await h3.container('of-netns'));
  const process = h3.spawn(['unshare', '--net', 'sh', '-c', 'ip link set lo up; echo $$; exec sleep 100000']);
  await expect.poll(() => process.output).toMatch(/^\d+\n/);
  const pid = process.output.trim();
  await h3.mustOverlayd('network', 'connect', '--name', 'of-pid', 'web', `pid:${pid}`);

  const hook = 'overlayd network connect web lxc:$LXC_NAME@$LXC_PID';
  const lines = ['lxc.net.0.type = empty', 'lxc.hook.version = 1', `lxc.hook.start-host = ${hook}`];
  await lxc.create('of-lxc', { lines });
  await lxc.must(['lxc-start', 'of-lxc']);

  const kinds = ['of-cni', 'of-ctr', 'of-docker', 'of-lxc', 'of-netns', 'of-pid', 'of-podman'];
  let calls = 0;
  const run: Readonly<Record<string, (argv: readonly string[]) => Promise<Outcome>>> = {
    'of-docker': (argv) => h1.engine.docker('exec', 'of-docker', ...argv),
    'of-podman': (argv) => podman.podman('exec', 'of-podman', ...argv),
    'of-ctr': ([program, ...argv]) =>
      containerd.ctr('task', 'exec', '--exec-id', `e${++calls}`, 'of-ctr', `/bin/${program}`, ...argv),
    'of-cni': (argv) => h2.exec('of-cni', argv),
    'of-lxc': (argv) => lxc.run(['lxc-attach', 'of-lxc', '--', ...argv]),
    'of-netns': (argv) => h3.exec('of-netns', argv),
    'of-pid': (argv) =>
      h3.run(['nsenter', '--target', pid, '--net', 'unshare', '--mount', 'sh', '-c', WITH_RESOLVER, 'sh', ...argv]),
  };
  for (const from of kinds) {
    for (const to of kinds) {
      const { code, stdout, stderr } = await run[from]!(['ping', '-c', '1', '-W', '5', to]);
      expect({ from, to, code, said: code === 0 ? '' : stdout + stderr }).toEqual({ from, to, code: 0, said: '' });
    }
  }
  const rows = (await endpointRows(h3)) as readonly { Name: string; Tool?: string }[];
  expect(rows.map(({ Name, Tool }) => [Name, Tool]).sort()).toEqual([
    ['of-cni', 'cni'],
    ['of-ctr', 'cni'],
    ['of-docker', 'docker'],
    ['of-lxc', 'lxc'],
    ['of-netns', 'netns'],
    ['of-pid', 'pid'],
    ['of-podman', 'podman'],
  ]);
  await containerd.stop();
});
