import { describe, expect, test } from 'vitest';
import { joinArguments } from '../../lab/cluster.ts';
import {
  endpointNames,
  offeredNetworks,
  runContainer,
  startEngines,
  untilLooksUp,
  untilOffered,
} from '../../lab/docker-network.ts';
import { foundBy, untilFound, untilTold } from '../../lab/finding.ts';
import { IMAGE } from '../../lab/image.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const OURS = ['--driver', 'overlayd', '--ipam-driver', 'overlayd'];

describe('networks on three hosts, of which the third gets its engine later', () => {
  const lab = useLab({
    hosts: 3,
    cluster: true,
    prepare: ({ hosts }) => startEngines(hosts.slice(0, 2)),
  });

  test('a network of the cluster is there for docker run when create returns, and on the other engines by itself', async () => {
    const [one, two, three] = lab().hosts;
    await one!.mustOverlayd(
      'network',
      'create',
      '--label',
      'team=a',
      '--aux-address',
      'router=10.9.0.7',
      '--subnet',
      '10.9.0.0/24',
      'web',
    );
    expect(await offeredNetworks(one!)).toEqual(['web']);
    await one!.mustOverlayd('network', 'create', '--internal', 'vault');
    await untilOffered(two!, ['vault', 'web']);
    const [seen] = JSON.parse(await two!.engine.mustDocker('network', 'inspect', 'web'));
    expect(seen.IPAM.Config).toEqual([
      { Subnet: '10.9.0.0/24', Gateway: '10.9.0.1', AuxiliaryAddresses: { router: '10.9.0.7' } },
    ]);
    expect(seen).toMatchObject({ Name: 'web', Driver: 'overlayd', Internal: false, Labels: { team: 'a' } });
    expect(JSON.parse(await two!.engine.mustDocker('network', 'inspect', 'vault'))[0].Internal).toBe(true);
    await startEngines([three!]);
    await untilOffered(three!, ['vault', 'web']);
  });

  test('docker network create on one engine reaches all, with what was asked for', async () => {
    const [one, two, three] = lab().hosts;
    const options = [
      '--ipam-opt',
      'net=shop',
      '--subnet',
      '10.20.0.0/16',
      '--gateway',
      '10.20.0.9',
      '--ip-range',
      '10.20.1.0/24',
    ];
    await two!.engine.mustDocker(
      'network',
      'create',
      ...OURS,
      ...options,
      '--aux-address',
      'printer=10.20.0.3',
      'shop',
    );
    for (const host of [one!, three!]) await untilOffered(host, ['shop', 'vault', 'web']);
    const network = JSON.parse(await three!.must(['overlayd', 'network', 'inspect', 'shop']))[0];
    expect(network.IPAM.Config).toEqual([
      {
        Subnet: '10.20.0.0/16',
        Gateway: '10.20.0.9',
        IPRange: '10.20.1.0/24',
        AuxiliaryAddresses: { printer: '10.20.0.3' },
      },
    ]);
    // Both sides have one each, of that name.
    expect(await offeredNetworks(two!)).toEqual(['shop', 'vault', 'web']);
    await two!.engine.mustDocker('network', 'create', ...OURS, '--ipam-opt', 'net=auto', '--internal', 'auto');
    await untilOffered(one!, ['auto', 'shop', 'vault', 'web']);
    expect(JSON.parse(await one!.must(['overlayd', 'network', 'inspect', 'auto']))[0].Internal).toBe(true);
  });

  test.each([
    [
      ['--driver', 'overlayd', 'x'],
      'docker network create -d overlayd --ipam-driver overlayd --ipam-opt net=NAME NAME',
    ],
    [[...OURS, 'x'], 'net=NAME is missing'],
    [[...OURS, '--ipam-opt', 'net=x', '--ipam-opt', 'colour=red', 'x'], 'unknown --ipam-opt "colour"'],
    [[...OURS, '--ipam-opt', 'net=-x', 'x'], 'network name "-x" is not valid'],
    [[...OURS, '--ipam-opt', 'net=x', '-o', 'colour=red', 'x'], 'unknown option "colour"'],
    [[...OURS, '--ipam-opt', 'net=x', '--subnet', '10.9.0.0/25', 'x'], 'pool overlaps with other one'],
    [
      [...OURS, '--ipam-opt', 'net=x', '--subnet', '10.10.0.0/24', '--gateway', '10.10.0.0', 'x'],
      'network or broadcast address',
    ],
    [
      [...OURS, '--ipam-opt', 'net=web', '--subnet', '10.10.0.0/24', 'x'],
      'network web is there already and has subnet 10.9.0.0/24',
    ],
    [[...OURS, '--ipam-opt', 'net=web', '--internal', 'x'], 'network web is there already and is not --internal'],
    [[...OURS, '--ipam-opt', 'net=web', '-o', 'mtu=1200', 'x'], 'network web is there already with mtu=(unset)'],
    [
      [...OURS, '-o', 'net=x', '-o', 'com.docker.network.bridge.name=x', 'x'],
      'option com.docker.network.bridge.name is not supported',
    ],
    [[...OURS, '--ipv6', '--ipam-opt', 'net=web', 'x'], 'network web is there already and has no IPv6'],
  ])('docker network create %j is refused and leaves nothing', async (args, words) => {
    const { code, stderr } = await lab()
      .host(1)
      .engine.docker('network', 'create', ...args);
    expect(stderr).toContain(words);
    expect(code).toBe(1);
    expect(await offeredNetworks(lab().host(1))).toEqual(['auto', 'shop', 'vault', 'web']);
    const networks = await lab().host(1).json('network', 'ls');
    expect(networks.map(({ Name }: { Name: string }) => Name).sort()).toEqual(['auto', 'shop', 'vault', 'web']);
  });

  test('a network of another driver gets no addresses of ours, and status says so until it is gone', async () => {
    const one = lab().host(1);
    await one.engine.mustDocker('network', 'create', '--ipam-driver', 'overlayd', '--ipam-opt', 'net=web', 'stray');
    const told = async () => {
      const { Problems } = await one.json('status');
      return Problems.some((text: string) => text.includes("Docker's network stray (driver bridge)"));
    };
    await until('the status to tell', told);
    const { code, stderr } = await one.engine.docker('run', '--rm', '--network', 'stray', IMAGE, 'true');
    expect(stderr).toContain('make it with -d overlayd');
    expect(code).not.toBe(0);
    await one.engine.mustDocker('network', 'rm', 'stray');
    await until('the status to be good again', async () => !(await told()));
  });

  test('another network of the engine by that name is left alone, and status says so until it is gone', async () => {
    const [one, two] = lab().hosts;
    await two!.engine.mustDocker('network', 'create', '--driver', 'bridge', 'busy');
    await one!.mustOverlayd('network', 'create', 'busy');
    const isGone = async () => !(await foundBy(two!)).some(({ Code }) => Code === 'docker-side');
    await untilFound(two!, 'docker-side', /another network named busy \(driver bridge\).*remove or rename that one/);
    await untilTold(two!, ['docker-side']);
    await two!.engine.mustDocker('network', 'rm', 'busy');
    await untilOffered(two!, ['auto', 'busy', 'shop', 'vault', 'web']);
    await until('the status of h2 to be good again', isGone);
  });

  test('docker network rm on any host takes the network from all', async () => {
    const [one, two, three] = lab().hosts;
    for (const [host, name] of [
      [one!, 'busy'],
      [three!, 'auto'],
      [two!, 'shop'],
    ] as const) {
      await host.engine.mustDocker('network', 'rm', name);
    }
    await three!.mustOverlayd('network', 'rm', 'vault');
    for (const host of lab().hosts) {
      await untilOffered(host, ['web']);
      await until('the cluster to have one network', async () => (await host.json('network', 'ls')).length === 1);
    }
  });

  test('docker network rm of several, and docker network prune, take all of them from all hosts', async () => {
    const [one, two] = lab().hosts;
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const command of [
      ['rm', ...names],
      ['prune', '--force', '--filter', 'label=spare'],
    ]) {
      for (const name of names) await one!.mustOverlayd('network', 'create', '--label', 'spare=yes', name);
      await untilOffered(two!, [...names, 'web']);
      await two!.engine.mustDocker('network', ...command);
      await until('the cluster to have one network', async () => (await one!.json('network', 'ls')).length === 1);
      for (const host of lab().hosts) await untilOffered(host, ['web']);
    }
  });

  test('a network with endpoints is kept, and what Docker drops all the same is offered again', async () => {
    const [one, two] = lab().hosts;
    await runContainer(one!, 'user', '--network', 'web');
    await runContainer(two!, 'asleep', '--network', 'web', '--network-alias', 'sleeper', '--ip', '10.9.0.99');
    await two!.engine.mustDocker('stop', 'asleep');
    await until('the endpoint on the other host', async () => (await endpointNames(two!)).includes('user'));
    const local = await one!.engine.docker('network', 'rm', 'web');
    expect(local.stderr).toContain('has active endpoints');
    const refused = await two!.overlayd('network', 'rm', 'web');
    expect(refused.stderr).toContain('network web has active endpoints: user on h1');
    const before = await two!.engine.mustDocker('network', 'inspect', '-f', '{{.Id}}', 'web');
    await two!.engine.docker('network', 'rm', 'web');
    await until('another network in its place', async () => {
      const { stdout } = await two!.engine.docker('network', 'inspect', '-f', '{{.Id}}', 'web');
      return stdout.trim() !== '' && stdout.trim() !== before;
    });
    expect((await two!.must(['cat', `${two!.directory}/dockerd.log`])).includes('active endpoints: user on h1')).toBe(
      true,
    );
    await runContainer(two!, 'guest', '--network', 'web');
    // One that did not run meanwhile starts on the network as it is now, with what it asked for.
    await until('the container to start again', async () => (await two!.engine.docker('start', 'asleep')).code === 0);
    await untilLooksUp(one!, 'user', 'sleeper', ['10.9.0.99']);
    for (const [host, name] of [
      [one!, 'user'],
      [two!, 'guest'],
      [two!, 'asleep'],
    ] as const)
      await host.engine.mustDocker('rm', '-f', name);
  });

  test('an engine that was away catches up with what came and went', async () => {
    const [one, two] = lab().hosts;
    await two!.engine.stop();
    await one!.mustOverlayd('network', 'rm', 'web');
    await one!.mustOverlayd('network', 'create', 'late');
    await two!.engine.start();
    await untilOffered(two!, ['late']);
  });

  test('a host that leaves takes its networks out of its engine, and other hosts keep theirs', async () => {
    const [one, , three] = lab().hosts;
    await three!.mustOverlayd('leave');
    await untilOffered(three!, []);
    expect(await offeredNetworks(one!)).toEqual(['late']);
    const { stderr } = await three!.engine.docker('network', 'create', ...OURS, '--ipam-opt', 'net=x', 'x');
    expect(stderr).toContain('not a member of a cluster');
  });

  test('of a host that joins are there for docker run when join returns', async () => {
    const [one, , three] = lab().hosts;
    for (let i = 0; i < 5; i++) await one!.mustOverlayd('network', 'create', `more${i}`);
    await three!.mustOverlayd(
      ...joinArguments(`overlayd join --token ${await one!.mustOverlayd('token', 'create', '-q')} ${one!.address}`),
    );
    for (const network of ['late', 'more4']) {
      await three!.engine.mustDocker('run', '--rm', '--network', network, IMAGE, 'true');
    }
  });
});
