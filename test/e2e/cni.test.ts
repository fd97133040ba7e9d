/** CNI's runtimes on hosts of a cluster: a runtime written after the specification, and containerd's own. */
import { describe, expect, it } from 'vitest';
import { CniRuntime, type PluginList } from '../lab/cni.ts';
import { Containerd } from '../lab/containerd.ts';
import type { Host, HostProcess } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    await hosts[0]!.mustOverlayd('network', 'create', 'web');
    for (const host of hosts) {
      // Runtimes look there, and it is the machine's own.
      await host.must(['mount', '-t', 'tmpfs', 'tmpfs', '/opt']);
      await host.mustOverlayd('cni', 'install', '--network', 'web');
    }
  },
});

const CONFIGURATION = '/etc/cni/net.d/87-overlayd-web.conflist';

/** A namespace as a runtime makes one, and what is installed on the host. */
async function prepare(host: Host, name: string) {
  await host.container(name);
  const runtime = new CniRuntime(host);
  return { runtime, list: await runtime.installed(CONFIGURATION), netns: `/run/netns/${name}` };
}

async function endpointsOn(host: Host): Promise<{ Name: string; Node: string }[]> {
  return host.json('endpoint', 'ls');
}

/** Of the same, of another version of CNI. */
const speaking = (list: PluginList, cniVersion: string): PluginList => ({ ...list, cniVersion });

describe('a runtime after the specification', () => {
  it('gives containers of two hosts addresses and names of one network', async () => {
    const [h1, h2] = [lab().host(1), lab().host(2)];
    const api = await prepare(h1, 'cni-api');
    const shop = await prepare(h2, 'cni-shop');
    const result = await api.runtime.add(api.list, {
      ...{ containerId: 'default-api', netns: api.netns },
      capabilities: { aliases: ['backend'], ips: ['10.0.0.77/24'], mac: '02:00:00:00:00:77' },
    });
    expect(result).toEqual({
      cniVersion: '1.0.0',
      interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:77', sandbox: api.netns }],
      ips: [{ address: '10.0.0.77/24', gateway: '10.0.0.1', interface: 0 }],
      routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }],
      dns: { nameservers: ['10.0.0.1'] },
    });
    const { dns, ips } = await shop.runtime.add(shop.list, {
      ...{ containerId: 'c'.repeat(64), netns: shop.netns },
      args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=shop.v1',
    });
    // As a runtime does that takes what it is told.
    await h2.must([
      'sh',
      '-c',
      `mkdir -p /etc/netns/cni-shop; echo nameserver ${dns.nameservers[0]} > /etc/netns/cni-shop/resolv.conf`,
    ]);
    await h2.mustExec('cni-shop', ['ping', '-c', '1', '-W', '5', 'api']);
    await h2.mustExec('cni-shop', ['ping', '-c', '1', '-W', '5', 'backend']);
    await h1.mustExec('cni-api', ['ping', '-c', '1', '-W', '5', ips[0].address.split('/')[0]]);
    expect((await endpointsOn(h1)).map(({ Name }) => Name).sort()).toEqual(['api', 'shop-v1']);

    await h1.must(['ip', 'netns', 'del', 'cni-api']);
    await api.runtime.del(api.list, { containerId: 'default-api', netns: '' }, result);
    await api.runtime.del(api.list, { containerId: 'default-api', netns: '' }, result);
    await shop.runtime.del(shop.list, { containerId: 'c'.repeat(64), netns: shop.netns });
    expect(await endpointsOn(h1)).toEqual([]);
    expect(await h2.mustExec('cni-shop', ['ls', '/sys/class/net'])).toBe('lo\n');
  });

  it('is answered in the version that it speaks', async () => {
    const h1 = lab().host(1);
    const { runtime, list, netns } = await prepare(h1, 'cni-v');
    const attachment = { containerId: 'versions', netns };
    const old = await runtime.add(speaking(list, '0.4.0'), attachment);
    expect(old).toMatchObject({ cniVersion: '0.4.0', ips: [{ version: '4', interface: 0 }] });
    const asked = await runtime.add(speaking(list, '1.1.0'), attachment);
    expect(asked).toMatchObject({
      cniVersion: '1.1.0',
      interfaces: [{ mtu: 1450 }],
      ips: old.ips.map(({ address }: { address: string }) => ({ address })),
    });
    await runtime.check(list, attachment, asked);
    await h1.must(['ip', '-netns', 'cni-v', 'link', 'set', 'eth0', 'down']);
    await expect.poll(() => runtime.check(list, attachment, asked).then(() => 'right', String)).toBe('right');
    await runtime.del(list, attachment, asked);
    await expect(runtime.check(list, attachment, asked)).rejects.toThrow(/has no eth0 on network web/);
  });

  it('is told what is wrong, by CNI’s own numbers', async () => {
    const h1 = lab().host(1);
    const { runtime, list, netns } = await prepare(h1, 'cni-wrong');
    const plugin = list.plugins[0]!;
    const attachment = { containerId: 'wrong', netns };
    const refused = async (of: PluginList, more: object = {}, command = 'ADD', asked: object = attachment) => {
      const { code, stdout } = await runtime.run(command, of, plugin, asked, more);
      return { exit: code, ...JSON.parse(stdout) };
    };
    expect(await refused(speaking(list, '2.0.0'))).toMatchObject({
      exit: 1,
      code: 1,
      msg: expect.stringContaining('1.1.0'),
    });
    expect(await refused(list, { netwrok: 'web' })).toMatchObject({
      code: 2,
      msg: expect.stringContaining('did you mean network?'),
    });
    expect(await refused(list, { ipam: { type: 'host-local' } })).toMatchObject({ code: 2 });
    expect(await refused(list, {}, 'ADD', { containerId: 'wrong', netns: '/run/netns/none' })).toMatchObject({
      code: 3,
    });
    expect(await refused(list, {}, 'ADD', { containerId: 'wrong', netns: '' })).toMatchObject({ code: 4 });
    expect(await refused(list, { network: 'wbe' })).toMatchObject({
      code: 7,
      details: 'network-not-found',
      msg: expect.stringContaining('wbe'),
    });
    expect(await refused(list, { network: 'wbe' }, 'STATUS', {})).toMatchObject({ code: 50 });
    expect(await runtime.run('STATUS', list, plugin, {})).toMatchObject({ code: 0, stdout: '' });
    expect(JSON.parse((await runtime.run('VERSION', list, plugin, {})).stdout)).toEqual({
      cniVersion: '1.0.0',
      supportedVersions: ['0.4.0', '1.0.0', '1.1.0'],
    });
    expect(await endpointsOn(h1)).toEqual([]);
  });

  it('has what it lost removed by GC, of its own configuration alone', async () => {
    const h1 = lab().host(1);
    const { runtime, list, netns } = await prepare(h1, 'cni-gc');
    await h1.container('cni-gc2');
    await h1.container('cni-gc3');
    const other = { ...list, name: 'other' };
    await runtime.add(list, { containerId: 'kept', netns });
    await runtime.add(list, { containerId: 'lost', netns: '/run/netns/cni-gc2' });
    await runtime.add(other, { containerId: 'others', netns: '/run/netns/cni-gc3' });
    const { code } = await runtime.run(
      'GC',
      list,
      list.plugins[0]!,
      {},
      {
        'cni.dev/valid-attachments': [{ containerID: 'kept', ifname: 'eth0' }],
      },
    );
    expect(code).toBe(0);
    expect((await endpointsOn(h1)).map(({ Name }) => Name).sort()).toEqual(['kept', 'others']);
    await runtime.del(list, { containerId: 'kept', netns });
    await runtime.del(other, { containerId: 'others', netns: '/run/netns/cni-gc3' });
  });

  it('is told that the agent is away, and goes on where it was when it is back', async () => {
    const h1 = lab().host(1);
    const { runtime, list, netns } = await prepare(h1, 'cni-away');
    await runtime.add(list, { containerId: 'away', netns });
    await h1.agent.kill();
    const { code, stdout } = await runtime.run('STATUS', list, list.plugins[0]!, {});
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({
      code: 50,
      msg: expect.stringContaining('systemctl start overlayd'),
    });
    await h1.agent.start();
    await runtime.del(list, { containerId: 'away', netns });
    expect(await endpointsOn(h1)).toEqual([]);
  });
});

/** At port 80 of the container. */
function serve(host: Host, container: string): HostProcess {
  const argv = ['busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', 'served'];
  return host.spawn(['ip', 'netns', 'exec', container, ...argv]);
}

/** What is answered there to somebody from outside. */
async function askOf(host: Host, port: number): Promise<string> {
  const { stdout } = await lab().internet.run(['busybox', 'nc', '-w', '5', host.address, String(port)], { input: '' });
  return stdout;
}

describe('the capability portMappings', () => {
  it('publishes the container’s ports until it is deleted, and refuses those that somebody has', async () => {
    const h1 = lab().host(1);
    const { runtime, list, netns } = await prepare(h1, 'cni-ports');
    await h1.container('cni-other');
    const other = { containerId: 'other', netns: '/run/netns/cni-other' };
    const portMappings = [{ HostPort: 8090, ContainerPort: 80, Protocol: 'tcp', HostIP: '' }];
    const attachment = { containerId: 'ports', netns, capabilities: { portMappings } };
    await runtime.add(list, attachment);
    const server = serve(h1, 'cni-ports');
    await expect.poll(() => askOf(h1, 8090)).toBe('served\n');
    expect(await h1.json('publish', 'ls')).toMatchObject([{ HostPort: 8090, Name: 'ports', Tool: 'cni' }]);

    await expect(runtime.add(list, { ...other, capabilities: { portMappings } })).rejects.toThrow(
      /port 8090\/tcp of this host is published by cni for its container ports already/,
    );
    const agents = [{ hostPort: 7946, containerPort: 80 }];
    await expect(runtime.add(list, { ...other, capabilities: { portMappings: agents } })).rejects.toThrow(
      /7946\/tcp of this host cannot be published: .* \(pid \d+\) has it/,
    );
    await runtime.del(list, attachment);
    expect(await h1.json('publish', 'ls')).toEqual([]);
    expect(await askOf(h1, 8090)).toBe('');
    server.drop();
    expect(await endpointsOn(h1)).toEqual([]);
  });
});

describe('plugins after ours', () => {
  it('publish ports and tune the interface; one that looks for its link in the host does not find it', async () => {
    const h1 = lab().host(1);
    const { runtime, list, netns } = await prepare(h1, 'cni-chain');
    const portmap = { type: 'portmap', capabilities: { portMappings: true }, backend: 'iptables' };
    const tuning = { type: 'tuning', sysctl: { 'net.ipv4.conf.eth0.log_martians': '1' } };
    const text = await h1.mustOverlayd('cni', 'install', '--network', 'web', '--portmap', '--print');
    const [own] = (JSON.parse(text) as PluginList).plugins;
    const chained = { ...list, plugins: [own!, portmap, tuning] };
    const attachment = {
      ...{ containerId: 'chained', netns },
      capabilities: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    };
    const result = await runtime.add(chained, attachment);
    expect(result.ips).toHaveLength(1);
    expect((await h1.mustExec('cni-chain', ['sysctl', '-n', 'net.ipv4.conf.eth0.log_martians'])).trim()).toBe('1');
    const server = serve(h1, 'cni-chain');
    await expect.poll(() => askOf(h1, 8080)).toBe('served\n');
    server.drop();
    await runtime.del(chained, attachment, result);
    expect(await endpointsOn(h1)).toEqual([]);

    const limited = { ...list, plugins: [...list.plugins, { type: 'bandwidth', ingressRate: 1e6, ingressBurst: 1e6 }] };
    await expect(runtime.add(limited, attachment)).rejects.toThrow(/host/);
    await runtime.del({ ...limited, plugins: list.plugins }, attachment);
    expect(await endpointsOn(h1)).toEqual([]);
  });
});

describe('containerd', () => {
  it('runs containers on the network by `ctr run --cni`', async () => {
    const [h1, h2] = [lab().host(1), lab().host(2)];
    const containerd = new Containerd(h1);
    await containerd.start();
    const other = await prepare(h2, 'c2');
    await other.runtime.add(other.list, { containerId: 'default-store', netns: other.netns });
    await containerd.must(
      'run',
      '-d',
      '--cni',
      ...containerd.runFlags('web1'),
      containerd.root,
      'web1',
      '/bin/sleep',
      'infinity',
    );
    const { stdout } = await containerd.ctr(
      'task',
      'exec',
      '--exec-id',
      'ping',
      'web1',
      '/bin/ping',
      '-c',
      '1',
      '-W',
      '5',
      'store',
    );
    expect(stdout).toContain('1 packets received');
    const shown = (await endpointsOn(h2)).find(({ Name }) => Name === 'web1');
    expect(shown).toMatchObject({ Name: 'web1' });

    // containerd deletes with every signal, while the process goes on.
    await containerd.must('task', 'kill', '-s', 'SIGUSR1', 'web1');
    expect((await endpointsOn(h2)).map(({ Name }) => Name).sort()).toEqual(['store', 'web1']);
    await containerd.must('task', 'exec', '--exec-id', 'again', 'web1', '/bin/ping', '-c', '1', '-W', '5', 'store');

    await containerd.must('task', 'kill', '-s', 'SIGKILL', 'web1');
    await until('the endpoint to go with its process', async () => {
      return (await endpointsOn(h2)).every(({ Name }) => Name !== 'web1');
    });
    await containerd.stop();
  });
});
