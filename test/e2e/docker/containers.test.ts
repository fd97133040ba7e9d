import { GenericContainer } from 'testcontainers';
import { afterEach, describe, expect, test } from 'vitest';
import {
  addressOf,
  endpointNames,
  endpointRows,
  expectNothingLeft,
  lookUp,
  OUTSIDE,
  pings,
  runContainer,
  startEngines,
  untilLooksUp,
  untilOffered,
  untilPings,
} from '../../lab/docker-network.ts';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { INTERNET } from '../../lab/internet.ts';
import { fetchPage } from '../../lab/page.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

describe('containers on the engines of two hosts', () => {
  const lab = useLab({
    hosts: 2,
    cluster: true,
    prepare: async (made) => {
      const one = made.host(1);
      await startEngines(made.hosts);
      await one.mustOverlayd('network', 'create', '--subnet', '10.1.0.0/24', 'web');
      await one.mustOverlayd('network', 'create', '--subnet', '10.2.0.0/24', 'data');
      await one.mustOverlayd('network', 'create', '--subnet', '10.3.0.0/24', '--internal', 'vault');
      for (const host of made.hosts) await untilOffered(host, ['data', 'vault', 'web']);
    },
  });
  const one = () => lab().host(1);
  const two = () => lab().host(2);
  const inside = async (host: Host, name: string, ...command: readonly string[]) =>
    host.engine.mustDocker('exec', name, ...command);

  afterEach(async () => {
    for (const host of lab().hosts) {
      const ids = (await host.engine.mustDocker('ps', '-aq')).split('\n').filter((id) => id !== '');
      if (ids.length > 0) await host.engine.mustDocker('rm', '-f', ...ids);
    }
    await expectNothingLeft(lab().hosts);
  });

  test('a container is reached from another host by name, alias, host name and short id', async () => {
    await runContainer(one(), 'api', '--network', 'web', '--network-alias', 'backend', '--hostname', 'box');
    const address = await addressOf(two(), 'api');
    const id = (await one().engine.mustDocker('inspect', '-f', '{{.Id}}', 'api')).slice(0, 12);
    await runContainer(two(), 'client', '--network', 'web');
    for (const name of ['api', 'backend', 'box', id, 'api.web', 'API', 'api.web.overlayd.internal']) {
      expect([name, await lookUp(two(), 'client', name)]).toEqual([name, [address]]);
    }
    expect(await pings(two(), 'client', 'api')).toBe(true);
    // Docker's own resolver goes on with what is local, in the same container.
    await untilLooksUp(one(), 'api', 'client', [await addressOf(two(), 'client')]);
    expect(await lookUp(two(), 'client', 'client')).toEqual([await addressOf(two(), 'client')]);
    expect(await lookUp(two(), 'client', 'nobody')).toEqual([]);
  });

  test('names are there for the first command of a container', async () => {
    await runContainer(one(), 'api', '--network', 'web');
    await addressOf(two(), 'api');
    const out = await two().engine.docker(
      'run',
      '--rm',
      '--network',
      'web',
      IMAGE,
      'ping',
      '-c',
      '1',
      '-W',
      '2',
      'api',
    );
    expect(out.stdout).toContain('1 packets received');
  });

  test('an alias on both hosts has the addresses of both', async () => {
    for (const host of lab().hosts)
      await runContainer(host, `api-${host.name}`, '--network', 'web', '--network-alias', 'api');
    const all = [await addressOf(one(), 'api-h1'), await addressOf(one(), 'api-h2')].sort();
    for (const host of lab().hosts) {
      await untilLooksUp(host, `api-${host.name}`, 'api.web.overlayd.internal', all);
      await untilLooksUp(host, `api-${host.name}`, 'tasks.api', all);
      await untilLooksUp(host, `api-${host.name}`, 'api', all);
    }
  });

  test('a container that is renamed goes by its new name and no longer by the old one', async () => {
    await runContainer(one(), 'old', '--network', 'web');
    await runContainer(two(), 'client', '--network', 'web');
    await untilLooksUp(two(), 'client', 'old', [await addressOf(two(), 'old')]);
    await one().engine.mustDocker('rename', 'old', 'new');
    await untilLooksUp(two(), 'client', 'new', [await addressOf(two(), 'new')]);
    await untilLooksUp(two(), 'client', 'old', []);
  });

  test('an address and a MAC that are asked for are given, kept over restarts, and refused when taken', async () => {
    const mac = '02:42:aa:bb:cc:01';
    await runContainer(one(), 'fixed', '--network', 'web', '--ip', '10.1.0.77', '--mac-address', mac);
    expect(await addressOf(two(), 'fixed')).toBe('10.1.0.77');
    expect((await endpointRows(two()))[0]).toMatchObject({ Name: 'fixed', MacAddress: mac });
    await runContainer(two(), 'client', '--network', 'web');
    await untilPings(two(), 'client', 'fixed');
    const run = (...options: readonly string[]) =>
      two().engine.docker('run', '--rm', '--network', 'web', ...options, IMAGE, 'true');
    expect((await run('--ip', '10.1.0.77')).stderr).toContain(
      'address already in use: 10.1.0.77 belongs to fixed on h1',
    );
    expect((await run('--mac-address', mac)).stderr).toContain(`MAC address ${mac} already in use`);
    expect((await run('--ip', '10.1.0.1')).stderr).toContain('address already in use');
    await one().engine.mustDocker('restart', 'fixed');
    await untilPings(two(), 'client', 'fixed');
    expect(await addressOf(two(), 'fixed')).toBe('10.1.0.77');
    expect(await endpointNames(one())).toEqual(['client', 'fixed']);
  });

  test('a container has its own addresses in its hosts file, after each start and each connect', async () => {
    const own = (address: string) =>
      `sed 's/ *\t/ /' /etc/hosts | grep -qxF "${address} $(hostname)" && ! grep ::ffff: /etc/hosts`;
    const hasOwn = (network: string) =>
      until(`its address on ${network} in its hosts file`, async () => {
        const address = await addressOf(one(), 'api', network);
        return (await one().engine.docker('exec', 'api', 'sh', '-c', own(address))).code === 0;
      });
    await runContainer(one(), 'api', '--network', 'web');
    await hasOwn('web');
    await one().engine.mustDocker('restart', 'api');
    await hasOwn('web');
    expect(await pings(one(), 'api', (await one().engine.mustDocker('exec', 'api', 'hostname')).trim())).toBe(true);
    await one().mustOverlayd('network', 'create', 'second');
    await one().engine.mustDocker('network', 'connect', 'second', 'api');
    await hasOwn('web');
    await hasOwn('second');
    const left = await addressOf(one(), 'api', 'second');
    await one().engine.mustDocker('network', 'disconnect', 'second', 'api');
    await until('the address that it has no more to go', async () => {
      const hosts = await one().engine.mustDocker('exec', 'api', 'cat', '/etc/hosts');
      return !hosts.split('\n').some((line) => line.startsWith(left));
    });
    await one().mustOverlayd('network', 'rm', 'second');
  });

  test('what Docker would not honour is refused', async () => {
    const ifname = 'com.docker.network.endpoint.ifname';
    for (const [option, words] of [
      [`${ifname}=lan0`, `--driver-opt ${ifname}: Docker names the interfaces`],
      ['weight=3', 'unknown --driver-opt "weight"'],
    ] as const) {
      const { code, stderr } = await one().engine.docker(
        'run',
        '--rm',
        '--network',
        `name=web,driver-opt=${option}`,
        IMAGE,
      );
      expect(stderr).toContain(words);
      expect(code).not.toBe(0);
    }
    await one().engine.mustDocker('run', '-d', '--name', 'plain', '--network', 'none', IMAGE);
    const { code, stderr } = await one().overlayd('network', 'connect', '--mac', '02:00:00:00:00:01', 'web', 'plain');
    expect(stderr).toContain('docker run --network NETWORK --mac-address MAC');
    expect(code).toBe(1);
    expect(await endpointNames(one())).toEqual([]);
  });

  test('a restarted, killed or started container has one endpoint, under its names', async () => {
    await runContainer(one(), 'api', '--network', 'web', '--network-alias', 'backend');
    await runContainer(two(), 'client', '--network', 'web');
    for (const command of [
      ['restart', 'api'],
      ['kill', 'api'],
      ['start', 'api'],
      ['stop', 'api'],
      ['start', 'api'],
    ]) {
      await one().engine.mustDocker(...command);
      const runs = ['restart', 'start'].includes(command[0]!);
      await until(`one endpoint after ${command[0]}`, async () => {
        const names = (await endpointNames(two())).join();
        return names === (runs ? 'api,client' : 'client');
      });
      if (!runs) continue;
      const address = await addressOf(two(), 'api');
      for (const name of ['api', 'backend']) await untilLooksUp(two(), 'client', name, [address]);
      await untilPings(two(), 'client', 'api');
    }
  });

  test('a container that ends by itself and is restarted by policy is found at its new address', async () => {
    await one().engine.mustDocker(
      'run',
      '-d',
      '--name',
      'loop',
      '--restart',
      'always',
      '--network',
      'web',
      IMAGE,
      'sleep',
      '3',
    );
    await runContainer(two(), 'client', '--network', 'web');
    const first = await addressOf(two(), 'loop');
    await until('another address', async () => {
      const rows = (await endpointRows(two())).filter(({ Name }) => Name === 'loop');
      return rows.length === 1 && rows[0]!.IPv4Address !== `${first}/24`;
    });
    await untilPings(two(), 'client', 'loop');
  });

  test('networks are connected and disconnected while a container runs, with aliases and address', async () => {
    await runContainer(one(), 'app', '--network', 'web');
    await runContainer(two(), 'store', '--network', 'data');
    await one().engine.mustDocker('network', 'connect', '--alias', 'writer', '--ip', '10.2.0.50', 'data', 'app');
    expect(await addressOf(two(), 'app', 'data')).toBe('10.2.0.50');
    await untilLooksUp(two(), 'store', 'writer', ['10.2.0.50']);
    await untilPings(two(), 'store', 'writer');
    await untilPings(one(), 'app', 'store');
    const [name, ...aliases] = (await endpointRows(two()))
      .filter(({ Network }) => Network === 'web')
      .map(({ Name }) => Name);
    expect([name, aliases]).toEqual(['app', []]);
    await one().engine.mustDocker('network', 'disconnect', 'data', 'app');
    await untilLooksUp(two(), 'store', 'writer', []);
    await until('one endpoint less', async () => (await endpointNames(two())).join() === 'app,store');
    expect(await inside(one(), 'app', 'ip', '-o', 'addr')).not.toContain('10.2.0.50');
    // Names of the network that stays go on.
    await runContainer(two(), 'web-client', '--network', 'web');
    await untilPings(one(), 'app', 'web-client');
  });

  test('overlayd network connect takes a Docker container by name or id, and disconnect lets go of it', async () => {
    await runContainer(one(), 'app', '--network', 'web');
    await runContainer(two(), 'store', '--network', 'data');
    const address = await one().mustOverlayd('network', 'connect', '--alias', 'writer', 'data', 'app');
    expect(address).toMatch(/^10\.2\.0\.\d+$/);
    await untilLooksUp(two(), 'store', 'writer', [address]);
    expect(
      await one().engine.mustDocker('inspect', '-f', '{{(index .NetworkSettings.Networks "data").IPAddress}}', 'app'),
    ).toBe(address);
    const id = await one().engine.mustDocker('inspect', '-f', '{{.Id}}', 'app');
    await one().mustOverlayd('network', 'disconnect', 'data', id.slice(0, 12));
    await untilLooksUp(two(), 'store', 'app', []);
    await one().engine.mustDocker('stop', 'app');
    const stopped = await one().overlayd('network', 'connect', 'vault', 'docker:app');
    expect(stopped.stderr).toContain('does not run: it joins vault when it starts');
    await one().engine.mustDocker('start', 'app');
    await addressOf(two(), 'app', 'vault');
    for (const [args, words] of [
      [['vault', 'app'], 'already'],
      [['web', 'nobody'], 'has none of that name or id'],
      [['--name', 'x', 'data', 'app'], 'a Docker container goes by its own name'],
      [['--ifname', 'x', 'data', 'app'], 'Docker itself names the interfaces'],
      [['--ip', '10.9.9.9', 'data', 'app'], '10.9.9.9'],
    ] as const) {
      const { code, stderr } = await one().overlayd('network', 'connect', ...args);
      expect([code, stderr]).toEqual([1, expect.stringContaining(words)]);
    }
    await one().engine.mustDocker('run', '-d', '--name', 'hostly', '--network', 'host', IMAGE);
    const host = await one().overlayd('network', 'connect', 'web', 'hostly');
    expect(host.stderr).toContain('host');
    expect(host.code).toBe(1);
  });

  test('a network namespace and Docker containers are on one network together', async () => {
    await runContainer(one(), 'app', '--network', 'web');
    const container = await two().container('plain');
    await two().mustOverlayd('network', 'connect', '--name', 'plain', 'web', container);
    await untilPings(one(), 'app', 'plain');
    expect((await two().exec('plain', ['ping', '-c', '1', '-W', '2', 'app'])).code).toBe(0);
    await two().mustOverlayd('network', 'disconnect', 'web', container);
  });

  test('the outside world is reached, by name too, and through Docker’s own networks as well', async () => {
    await runContainer(one(), 'app', '--network', 'web');
    await untilPings(one(), 'app', INTERNET);
    await untilLooksUp(one(), 'app', OUTSIDE, [INTERNET]);
    // The daemon's name server is everybody's: containers without a network of ours ask the host itself.
    await runContainer(one(), 'plain');
    await untilLooksUp(one(), 'plain', OUTSIDE, [INTERNET]);
    expect(await lookUp(one(), 'plain', 'app.web.overlayd.internal')).toEqual([]);
    await one().engine.mustDocker('network', 'create', 'own');
    await runContainer(one(), 'bridged', '--network', 'own');
    await untilLooksUp(one(), 'bridged', OUTSIDE, [INTERNET]);
    await one().engine.mustDocker('network', 'connect', 'web', 'bridged');
    await untilLooksUp(one(), 'bridged', 'app.web.overlayd.internal', [await addressOf(one(), 'app')]);
    await one().engine.mustDocker('rm', '-f', 'bridged');
    await one().engine.mustDocker('network', 'rm', 'own');
  });

  test('an internal network has names and no way out', async () => {
    await runContainer(one(), 'safe', '--network', 'vault');
    await runContainer(two(), 'other', '--network', 'vault');
    await untilPings(two(), 'other', 'safe');
    expect(await pings(two(), 'other', INTERNET)).toBe(false);
    expect(await lookUp(two(), 'other', OUTSIDE)).toEqual([]);
    expect(await inside(two(), 'other', 'ip', 'route')).not.toContain('default');
  });

  test('a container on an internal network asks for outside names when it has a way out by another one', async () => {
    const { engine } = one();
    await engine.mustDocker('network', 'create', 'own');
    await runContainer(one(), 'mixed', '--network', 'vault');
    expect(await lookUp(one(), 'mixed', OUTSIDE)).toEqual([]);
    await engine.mustDocker('network', 'connect', 'own', 'mixed');
    await untilLooksUp(one(), 'mixed', OUTSIDE, [INTERNET]);
    await engine.mustDocker('network', 'disconnect', 'own', 'mixed');
    await untilLooksUp(one(), 'mixed', OUTSIDE, []);
    await engine.mustDocker('rm', '-f', 'mixed');
    await engine.mustDocker('network', 'rm', 'own');
  });

  test('names are there on whichever of many networks a container that publishes ports is left', async () => {
    const { engine } = one();
    const networks = Array.from({ length: 11 }, (_, index) => `many${index}`);
    for (const network of networks) await one().mustOverlayd('network', 'create', network);
    await untilOffered(one(), ['data', 'vault', 'web', ...networks].sort());
    await runContainer(one(), 'wide', '-p', '8081:80', '--network', networks[0]!);
    for (const network of networks.slice(1)) await engine.mustDocker('network', 'connect', network, 'wide');
    await runContainer(two(), 'far', '--network', networks[10]!);
    const far = await addressOf(one(), 'far');
    await untilLooksUp(one(), 'wide', 'far', [far]);
    for (const network of networks.slice(0, 10)) {
      await engine.mustDocker('network', 'disconnect', network, 'wide');
      await untilLooksUp(one(), 'wide', 'far', [far]);
    }
    for (const host of [one(), two()]) await host.engine.mustDocker('rm', '-f', host === one() ? 'wide' : 'far');
    for (const network of networks) await one().mustOverlayd('network', 'rm', network);
  });

  test('published ports are reached from outside, listed by Docker, and stay with a second network', async () => {
    await one().engine.mustDocker(
      'run',
      '-d',
      '--name',
      'shop',
      '-p',
      '8080:80',
      '--network',
      'web',
      IMAGE,
      'httpd',
      '-f',
      '-p',
      '80',
    );
    const fetch = async () => (await fetchPage(two(), `http://${one().address}:8080/etc/hostname`)) !== undefined;
    await until('the published port', fetch);
    expect(await one().engine.mustDocker('ps', '--format', '{{.Ports}}')).toContain('0.0.0.0:8080->80/tcp');
    await runContainer(two(), 'client', '--network', 'web');
    await untilPings(two(), 'client', 'shop');
    await untilLooksUp(one(), 'shop', 'client', [await addressOf(one(), 'client')]);
    await one().engine.mustDocker('network', 'connect', 'data', 'shop');
    await addressOf(two(), 'shop', 'data');
    await until('the published port still', fetch);
  });

  test('containers of different networks do not reach each other', async () => {
    await runContainer(one(), 'app', '--network', 'web');
    await runContainer(two(), 'store', '--network', 'data');
    const store = await addressOf(one(), 'store');
    expect(await pings(one(), 'app', store)).toBe(false);
    expect(await lookUp(one(), 'app', 'store')).toEqual([]);
  });

  test('a container that its engine gave no network is connected by its process', async () => {
    await runContainer(one(), 'bare', '--network', 'none');
    const pid = await one().engine.mustDocker('inspect', '-f', '{{.State.Pid}}', 'bare');
    await one().mustOverlayd('network', 'connect', '--name', 'bare', 'web', `pid:${pid}`);
    await runContainer(two(), 'client', '--network', 'web');
    await untilPings(two(), 'client', 'bare');
    await one().engine.mustDocker('rm', '-f', 'bare');
    await until('its endpoint to be gone', async () => (await endpointNames(two())).join() === 'client');
  });

  test('a container of testcontainers is like any other', async () => {
    process.env.DOCKER_HOST = `unix://${one().engine.socket}`;
    process.env.TESTCONTAINERS_RYUK_DISABLED = 'true';
    const started = await new GenericContainer(IMAGE).withName('tested').withNetworkMode('web').start();
    await runContainer(two(), 'client', '--network', 'web');
    await untilPings(two(), 'client', 'tested');
    const { exitCode } = await started.exec(['ping', '-c', '1', '-W', '2', 'client']);
    expect(exitCode).toBe(0);
    await started.stop();
    await until('its endpoint to be gone', async () => (await endpointNames(two())).join() === 'client');
  });
});
