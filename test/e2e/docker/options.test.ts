/** Options of networks as an engine's containers have them. */
import { describe, expect, test } from 'vitest';
import { untilReady } from '../../lab/cluster.ts';
import { pings, runContainer, untilOffered, untilPings, withEngines } from '../../lab/docker-network.ts';
import type { Host } from '../../lab/host.ts';
import { INTERNET } from '../../lab/internet.ts';
import { stopwatch, tell } from '../../lab/measuring.ts';
import { attach } from '../../lab/network.ts';
import { fetchPage } from '../../lab/page.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true, prepare: withEngines });
const hosts = () => [lab().host(1), lab().host(2)] as const;
const inContainer = ({ engine }: Host, name: string, ...command: readonly string[]) =>
  engine.mustDocker('exec', name, ...command);
const optionsAt = ({ engine }: Host, network: string) =>
  engine.mustDocker('network', 'inspect', '-f', '{{json .Options}}', network);

describe('an MTU', () => {
  const mtuOf = async (host: Host, name: string) =>
    Number(await inContainer(host, name, 'cat', '/sys/class/net/eth0/mtu'));

  test('follows links and routes of any host, in containers that run, whoever runs them', async () => {
    const [one, two] = hosts();
    await one.mustOverlayd('network', 'create', 'web');
    await untilOffered(two, ['web']);
    await runContainer(one, 'api', '--network', 'web');
    await attach(one, 'c1', 'web');
    await runContainer(two, 'shop', '--network', 'web');
    const all = async (mtu: number) =>
      until(`all to have ${mtu}`, async () => {
        const found = [
          await mtuOf(one, 'api'),
          await mtuOf(two, 'shop'),
          Number(await one.mustExec('c1', ['cat', '/sys/class/net/eth0/mtu'])),
        ];
        if (found.every((each) => each === mtu)) return true;
        throw new Error(`they have ${found.join()}`);
      });
    const carries = async (size: number) => {
      const ping = ['ping', '-c', '1', '-W', '2', '-s', String(size - 28)];
      return (await two.engine.docker('exec', 'shop', ...ping, 'api')).code === 0;
    };
    await untilPings(two, 'shop', 'api');
    await all(1450);
    await two.must(['ip', 'link', 'set', 'eth0', 'mtu', '1400']);
    const narrowed = stopwatch();
    await all(1350);
    expect(await carries(1350)).toBe(true);
    tell({ scenario: 'mtu', ms: narrowed() });
    expect((await one.json('network', 'inspect', 'web'))[0].MtuLimitedBy).toBe('h2 (link eth0, 1400)');
    await two.must(['ip', 'route', 'add', '10.77.0.1/32', 'dev', 'eth0', 'mtu', '1300']);
    await all(1250);
    await until('the route to be named', async () =>
      (await one.mustOverlayd('status')).includes('MTU 1250, limited by h2 (a route by eth0, 1300)'),
    );
    await two.must(['ip', 'route', 'delete', '10.77.0.1/32']);
    await one.agent.kill();
    await two.must(['ip', 'link', 'set', 'eth0', 'mtu', '1500']);
    await until('the other to follow', async () => (await mtuOf(two, 'shop')) === 1450);
    await one.agent.start();
    await all(1450);
    expect(await carries(1450)).toBe(true);
  });
});

describe('options', () => {
  test('are shown by every engine, and are the same by whatever name they are asked for', async () => {
    const [one, two] = hosts();
    const create = (...args: readonly string[]) =>
      two.engine.docker('network', 'create', '-d', 'overlayd', '--ipam-driver', 'overlayd', ...args);
    const icc = 'com.docker.network.bridge.enable_icc';
    const made = await create('--ipam-opt', 'net=tenants', '-o', `${icc}=false`, 'tenants');
    expect(made.code).toBe(0);
    await untilOffered(one, ['tenants', 'web']);
    expect(JSON.parse(await optionsAt(one, 'tenants'))).toMatchObject({ [icc]: 'false' });
    expect((await one.json('network', 'inspect', 'tenants'))[0].Options).toEqual({ [icc]: 'false' });
    expect((await create('--ipam-opt', 'net=tenants', '-o', 'enable_icc=0', 'again')).code).toBe(0);
    const other = await create('--ipam-opt', 'net=tenants', '-o', 'enable_icc=1', 'other');
    expect(other.stderr).toContain('network tenants is there already with enable_icc=(unset)');
    const unknown = await create('--ipam-opt', 'net=x', '-o', 'com.docker.network.bridge.enable_ic=1', 'x');
    expect(unknown.stderr).toContain(`did you mean "${icc}"?`);
    const binding = await create('--ipam-opt', 'net=x', '-o', 'host_binding_ipv4=127.0.0.1', 'x');
    expect(binding.stderr).toContain('Docker publishes ports by itself');
  });

  test('keep containers apart and their published ports open', async () => {
    const [one, two] = hosts();
    await runContainer(one, 't1', '--network', 'tenants');
    await runContainer(one, 't2', '--network', 'tenants', '-p', '8080:80');
    await runContainer(two, 't3', '--network', 'tenants');
    await inContainer(one, 't2', 'httpd', '-p', '80', '-h', '/etc');
    const address = await one.engine.mustDocker(
      ...['inspect', '-f', '{{with index .NetworkSettings.Networks "tenants"}}{{.IPAddress}}{{end}}', 't2'],
    );
    for (const [host, name] of [
      [one, 't1'],
      [two, 't3'],
    ] as const) {
      expect(await pings(host, name, address)).toBe(false);
      const fetch = async (from: string, port: string) => {
        const call = `printf 'GET /hostname HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ${from} ${port}`;
        return (await host.engine.docker('exec', name, 'sh', '-c', call)).stdout;
      };
      expect(await fetch(address, '80')).toBe('');
      await until('the published port', async () => (await fetch(one.address, '8080')).includes('200 OK'));
      expect((await host.engine.docker('exec', name, 'nslookup', '-type=a', 'www.example')).stdout).toContain(
        'Address',
      );
    }
  });

  test('name the interfaces of containers', async () => {
    const [one] = hosts();
    await one.mustOverlayd('network', 'create', '-o', 'container_iface_prefix=lan', 'lan');
    await untilOffered(one, ['lan', 'tenants', 'web']);
    await runContainer(one, 'l1', '--network', 'lan');
    expect(await inContainer(one, 'l1', 'cat', '/sys/class/net/lan0/mtu')).toContain('1450');
    expect(
      (await one.json('endpoint', 'ls')).some(({ Interface }: { Interface: string }) => Interface === 'lan0'),
    ).toBe(true);
  });

  test('of an endpoint are passed on to an engine that heeds them, and refused with another', async () => {
    const [one] = hosts();
    const version = Number.parseInt(await one.engine.mustDocker('version', '-f', '{{.Server.Version}}'), 10);
    await runContainer(one, 'p1', '--network', 'web');
    const { code, stderr } = await one.overlayd('network', 'connect', '--gw-priority', '10', 'lan', 'p1');
    if (version < 28) expect(stderr).toContain('chooses the way out by itself');
    else expect(await inContainer(one, 'p1', 'ip', 'route', 'show', 'default')).toContain('lan');
    expect(code === 0).toBe(version >= 28);
  });

  test('let a container of a routed network keep its address, with its published ports open there', async () => {
    const [one] = hosts();
    const { internet } = lab();
    await one.mustOverlayd('network', 'create', '--subnet', '10.30.0.0/24', '-o', 'gateway_mode_ipv4=routed', 'edge');
    await untilOffered(one, ['edge', 'lan', 'tenants', 'web']);
    await runContainer(one, 'e1', '--network', 'edge', '--ip', '10.30.0.9', '-p', '8090:80');
    for (const port of ['80', '81']) await inContainer(one, 'e1', 'httpd', '-p', port, '-h', '/etc');
    await internet.must(['ip', 'route', 'add', '10.30.0.0/24', 'via', one.address]);
    const isOpen = async (port: number) =>
      (await fetchPage(internet, `http://10.30.0.9:${port}/hostname`)) !== undefined;
    const check = async () => {
      await until('the published port', () => isOpen(80));
      expect(await isOpen(81)).toBe(false);
    };
    await check();
    expect(await pings(one, 'e1', INTERNET)).toBe(true);
    expect(await inContainer(one, 'e1', 'ip', 'route')).toMatch(/^default via 10.30.0.1 dev eth0/);
    await one.agent.kill();
    await check();
    await one.agent.start();
    await untilReady(lab().hosts);
    await check();
    await one.engine.mustDocker('rm', '-f', 'e1');
    const opened = () => one.must(['nft', 'list', 'set', 'inet', 'overlayd', 'opened']);
    await until('nothing to be open', async () => !(await opened()).includes('10.30.0.9'));
  });
});

test('what is for a group or for everybody reaches containers of another engine, if the network has it', async () => {
  const [one, two] = hosts();
  const made = ['-d', 'overlayd', '--ipam-driver', 'overlayd', '--ipam-opt', 'net=room', '-o', 'multicast=true'];
  await one.engine.mustDocker('network', 'create', ...made, '-o', 'multicast_rate=50', 'room');
  await untilOffered(two, ['again', 'edge', 'lan', 'room', 'tenants', 'web']);
  expect(JSON.parse(await optionsAt(two, 'room'))).toMatchObject({ multicast: 'true', multicast_rate: '50' });
  const answering = ['--sysctl', 'net.ipv4.icmp_echo_ignore_broadcasts=0'];
  for (const network of ['room', 'web']) {
    await runContainer(one, `${network}-asks`, '--network', network);
    await runContainer(two, `${network}-answers`, '--network', network, ...answering);
    await untilPings(one, `${network}-asks`, `${network}-answers`);
  }
  const isHeard = (network: string) => pings(one, `${network}-asks`, '224.0.0.1');
  await until('an answer of the group', () => isHeard('room'));
  expect(await isHeard('web')).toBe(false);
  const apart = ['--ipam-opt', 'net=hall', '-o', 'multicast=true', '-o', 'enable_icc=false', 'hall'];
  const { stderr } = await one.engine.docker('network', 'create', ...made.slice(0, 4), ...apart);
  expect(stderr).toContain('options multicast and enable_icc contradict each other');
});

test('ports that containers expose are found as services, also through their engine’s own resolver', async () => {
  const [one, two] = hosts();
  const exposed = ['--expose', '9000', '--expose', '80', '--label', 'overlayd.port.metrics=9000'];
  await runContainer(one, 'srv1', '--network', 'web', ...exposed);
  await runContainer(two, 'srv2', '--network', 'web');
  for (const [host, asker] of [
    [one, 'srv1'],
    [two, 'srv2'],
  ] as const) {
    for (const answer of ['_metrics._tcp.srv1\tservice = 0 1 9000 srv1', '_http._tcp.srv1\tservice = 0 1 80 srv1']) {
      const [name = ''] = answer.split('\t');
      await until(`${name} on ${host.name}`, async () => {
        const { stdout } = await host.engine.docker('exec', asker, 'nslookup', '-type=srv', name);
        if (stdout.includes(answer)) return true;
        throw new Error(stdout);
      });
    }
  }
  const { stderr } = await one.overlayd('network', 'connect', '--port', '80', 'tenants', 'srv1');
  expect(stderr).toContain('docker run --expose 8080 --label overlayd.port.http=8080');
});
