import { describe, expect, test } from 'vitest';
import { Etcdctl } from '../lab/etcd.ts';
import { attach, reaches, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

describe('network commands', () => {
  const lab = useLab({ hosts: 2, cluster: true });
  const overlayd = (...args: readonly string[]) =>
    lab()
      .host(1)
      .mustOverlayd(...args);
  const inspect = async (name: string) => (await lab().host(2).json('network', 'inspect', name))[0];

  test('create chooses free subnets in order and leaves out those of the hosts’ own routes', async () => {
    await lab().host(2).must(['ip', 'route', 'add', 'blackhole', '10.0.1.0/24']);
    await lab().host(2).agent.stop();
    await lab().host(2).agent.start();
    await until('the route to be known', async () => {
      const answer = await lab().host(1).overlayd('network', 'create', '--subnet', '10.0.1.0/24', 'probe');
      if (answer.code === 0) await overlayd('network', 'rm', 'probe');
      return answer.stderr.includes('pool overlaps');
    });
    await overlayd('network', 'create', 'n0');
    await overlayd('network', 'create', 'n1');
    const subnets = [(await inspect('n0')).IPAM.Config[0].Subnet, (await inspect('n1')).IPAM.Config[0].Subnet];
    expect(subnets).toEqual(['10.0.0.0/24', '10.0.2.0/24']);
    await overlayd('network', 'rm', 'n0', 'n1');
  });

  test('inspect has the shape that Docker’s has, on every host alike', async () => {
    await overlayd(
      ...['network', 'create', '--attachable', '--subnet', '10.20.0.0/24', '--gateway', '10.20.0.254'],
      ...['--ip-range', '10.20.0.64/28', '--aux-address', 'printer=10.20.0.9', '--label', 'team=data', 'office'],
    );
    const address = await attach(lab().host(1), 'c1', 'office', '--name', 'desk');
    expect(address).toMatch(/^10\.20\.0\.(6[4-9]|7\d)$/);
    const [one] = await lab().host(1).json('network', 'inspect', 'office');
    const two = await until('the endpoint to be known', async () => {
      const found = await inspect('office');
      return Object.keys(found.Containers).length === 1 && found;
    });
    expect({ ...two, Containers: one.Containers }).toEqual(one);
    expect(one).toMatchObject({
      Name: 'office',
      Id: expect.stringMatching(/^[0-9a-f]{64}$/),
      Scope: 'global',
      Driver: 'overlayd',
      EnableIPv4: true,
      EnableIPv6: false,
      Internal: false,
      Attachable: true,
      IPAM: {
        Config: [
          {
            Subnet: '10.20.0.0/24',
            Gateway: '10.20.0.254',
            IPRange: '10.20.0.64/28',
            AuxiliaryAddresses: { printer: '10.20.0.9' },
          },
        ],
      },
      Labels: { team: 'data' },
      Addresses: { Used: 1 },
    });
    expect(Object.values(one.Containers)).toEqual([
      expect.objectContaining({ Name: 'desk', IPv4Address: `${address}/24`, Node: 'h1', Container: 'netns:c1' }),
    ]);
  });

  test('ids can be cut short, templates and quiet lists work', async () => {
    const { Id } = await inspect('office');
    expect((await inspect(Id.slice(0, 6))).Name).toBe('office');
    expect(await overlayd('network', 'ls', '-q', '--no-trunc')).toBe(Id);
    expect(await overlayd('network', 'ls', '--format', '{{.Name}} {{.Subnets}}')).toMatch(/^office .*10\.20\.0\.0\/24/);
    expect(await overlayd('network', 'ls', '--filter', 'label=team=web', '-q')).toBe('');
    expect(await overlayd('network', 'ls')).toMatch(/NETWORK ID +NAME +SUBNET/);
  });

  test('connect takes a static address outside of the range, a MAC and an interface name', async () => {
    const ref = await lab().host(2).container('c2');
    const endpoint = await lab()
      .host(2)
      .json(
        ...['network', 'connect', '--ip', '10.20.0.200', '--mac', '02:00:5e:00:53:01', '--ifname', 'lan0'],
        ...['office', ref],
      );
    expect(endpoint).toMatchObject({ IPv4Address: '10.20.0.200/24', MacAddress: '02:00:5e:00:53:01', Name: 'c2' });
    const link = await lab().host(2).mustExec('c2', ['ip', '-o', 'addr', 'show', 'dev', 'lan0']);
    expect(link).toMatch(/inet 10\.20\.0\.200\/24/);
    expect(await lab().host(2).mustExec('c2', ['ip', '-o', 'link', 'show', 'dev', 'lan0'])).toMatch(
      /02:00:5e:00:53:01/,
    );
    await untilReaches(lab().host(2), 'c2', 'desk');
    await untilReaches(lab().host(1), 'c1', '10.20.0.200');
  });

  test('a container given by path or by process id is a container too', async () => {
    const host = lab().host(2);
    await host.container('bypath');
    await host.mustOverlayd('network', 'connect', '--name', 'bypath', 'office', 'netns:/run/netns/bypath');
    const sleeper = host.spawn(['unshare', '--net', 'sleep', 'infinity']);
    const pid = await until('the process', async () => {
      const { stdout } = await host.run(['pgrep', '-x', 'sleep']);
      return stdout.trim() !== '' && stdout.trim();
    });
    await host.mustOverlayd('network', 'connect', '--name', 'bypid', 'office', `pid:${pid}`);
    await untilReaches(lab().host(1), 'c1', 'bypath');
    await untilReaches(lab().host(1), 'c1', 'bypid');
    await host.mustOverlayd('network', 'disconnect', 'office', `pid:${pid}`);
    await host.mustOverlayd('network', 'disconnect', 'office', 'bypath');
    await sleeper.kill();
  });

  test('the first address follows the MAC’s rule, and a released one is not given again at once', async () => {
    const host = lab().host(1);
    const first = await attach(host, 'c3', 'office');
    const mac = (await host.json('endpoint', 'inspect', 'c3'))[0].MacAddress;
    const bytes = first.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'));
    expect(mac).toBe(`02:42:${bytes.join(':')}`);
    await host.mustOverlayd('network', 'disconnect', 'office', 'netns:c3');
    expect(await host.mustOverlayd('network', 'connect', 'office', 'netns:c3')).not.toBe(first);
    await host.mustOverlayd('network', 'disconnect', 'office', 'netns:c3');
  });

  test('an internal network has no default route and no way out', async () => {
    await overlayd('network', 'create', '--internal', 'vault');
    await attach(lab().host(1), 'v1', 'vault', '--name', 'v1');
    await attach(lab().host(2), 'v2', 'vault', '--name', 'v2');
    await untilReaches(lab().host(2), 'v2', 'v1');
    expect(await lab().host(2).mustExec('v2', ['ip', 'route', 'show', 'default'])).toBe('');
    await lab()
      .host(2)
      .exec('v2', ['ip', 'route', 'add', 'default', 'via', (await inspect('vault')).IPAM.Config[0].Gateway]);
    expect(await reaches(lab().host(2), 'v2', '198.51.100.1')).toBe(false);
    expect((await inspect('vault')).Internal).toBe(true);
  });

  test('networks are isolated from each other, by address as well, on one host and across', async () => {
    await overlayd('network', 'create', 'other');
    const near = await attach(lab().host(1), 'o1', 'other', '--name', 'o1');
    const far = await attach(lab().host(2), 'o2', 'other', '--name', 'o2');
    await untilReaches(lab().host(1), 'o1', 'o2');
    for (const target of [near, far]) expect(await reaches(lab().host(1), 'c1', target)).toBe(false);
    expect(await reaches(lab().host(1), 'c1', 'o1')).toBe(false);
    expect(await reaches(lab().host(1), 'o1', '10.20.0.200')).toBe(false);
    expect(await reaches(lab().host(1), 'o1', 'desk')).toBe(false);
  });

  test('the host itself is reached from a container no more than it has to be: nothing answers at other gateways', async () => {
    const gateway = (await inspect('other')).IPAM.Config[0].Gateway;
    expect(await reaches(lab().host(1), 'c1', gateway)).toBe(false);
  });

  test('a route that the host comes to have to a network’s subnet is left alone, and wins', async () => {
    const one = lab().host(1);
    await overlayd('network', 'create', '--subnet', '10.90.0.0/24', 'met');
    await one.must(['ip', 'route', 'add', '10.90.0.0/24', 'via', lab().host(2).address]);
    await attach(one, 'met', 'met');
    const [best] = JSON.parse(await one.must(['ip', '-json', 'route', 'get', '10.90.0.9']));
    expect(best.dev).toBe('eth0');
    await overlayd('network', 'disconnect', 'met', 'netns:met');
    await overlayd('network', 'rm', 'met');
    expect(await one.must(['ip', 'route', 'show', '10.90.0.0/24'])).toContain('dev eth0');
    await one.must(['ip', 'route', 'del', '10.90.0.0/24']);
  });

  test('rm refuses a network in use and names the users', async () => {
    const answer = await lab().host(1).overlayd('network', 'rm', 'vault');
    expect(answer.code).toBe(1);
    expect(answer.stderr).toMatch(/network vault has active endpoints: .*v1 on h1/);
    expect(answer.stderr).toMatch(/v2 on h2/);
  });

  test('prune removes what is unused and nothing else', async () => {
    await overlayd('network', 'create', 'idle1');
    await overlayd('network', 'create', '--label', 'keep=yes', 'idle2');
    expect(await overlayd('network', 'prune', '-f', '--filter', 'label!=keep')).toBe('idle1');
    expect(await overlayd('network', 'prune', '-f')).toBe('idle2');
    const left = async () => {
      const rows: { Name: string }[] = await lab().host(2).json('network', 'ls');
      return rows.map(({ Name }) => Name).sort();
    };
    await expect.poll(left).toEqual(['office', 'other', 'vault']);
  });

  test('a name, a VNI and a subnet that were removed can be used again', async () => {
    const create = [
      'network',
      'create',
      '--subnet',
      '10.30.0.0/24',
      '-o',
      'com.docker.network.driver.overlay.vxlanid_list=5000',
    ];
    await overlayd(...create, 'again');
    await attach(lab().host(2), 'a2', 'again');
    await lab().host(2).mustOverlayd('network', 'disconnect', 'again', 'netns:a2');
    await overlayd('network', 'rm', 'again');
    await until(
      'VNI and subnet to be free',
      async () =>
        (
          await lab()
            .host(1)
            .overlayd(...create, 'again')
        ).code === 0,
    );
    expect((await inspect('again')).Vni).toBe(5000);
  });

  test('the MTU follows the option, in both of its meanings', async () => {
    await overlayd('network', 'create', '-o', 'mtu=1300', 'small');
    await overlayd('network', 'create', '-o', 'com.docker.network.driver.mtu=1400', 'under');
    expect([(await inspect('small')).Mtu, (await inspect('under')).Mtu]).toEqual([1300, 1350]);
    await attach(lab().host(1), 'm1', 'small');
    expect(await lab().host(1).mustExec('m1', ['ip', 'link', 'show', 'eth0'])).toMatch(/mtu 1300/);
  });

  test('endpoints of all hosts are listed on each', async () => {
    const rows = await until('all to be known', async () => {
      const found = await lab().host(2).json('endpoint', 'ls', '--network', 'vault');
      return found.length === 2 && found;
    });
    const text = rows.map(
      (row: { Name: string; Node: string; State: string }) => `${row.Name} ${row.Node} ${row.State}`,
    );
    expect(text.sort()).toEqual(['v1 h1 up', 'v2 h2 up']);
    expect(await lab().host(2).json('endpoint', 'ls', '--network', 'vault', '--node', 'h1')).toHaveLength(1);
  });

  test('what etcd holds of addresses is right after all that; what is nobody’s is found, and gone after repair', async () => {
    const check = (host: 1 | 2, ...args: readonly string[]) =>
      lab()
        .host(host)
        .overlayd('ipam', ...args);
    expect(await check(1, 'check')).toMatchObject({ code: 0, stdout: expect.stringContaining('Nothing found') });
    expect(await check(2, 'check')).toMatchObject({ code: 0 });
    const key = `/overlayd/v2/addresses/${(await inspect('vault')).Id}/10.9.9.9`;
    await Etcdctl.ofBundled(lab().host(1)).run('put', key, JSON.stringify({ endpointId: 'e', nodeId: 'gone' }));
    const found = await check(2, 'check', '--network', 'vault', '--format', 'json');
    expect(found.code).toBe(1);
    expect(JSON.parse(found.stdout).Findings).toMatchObject([{ Kind: 'foreign', Key: key, Outcome: 'repairable' }]);
    expect((await check(2, 'repair', '--dry-run')).code).toBe(1);
    expect(await check(2, 'repair')).toMatchObject({ code: 0, stdout: expect.stringContaining('1 repaired') });
    expect(await check(1, 'check')).toMatchObject({ code: 0 });
  });
});
