import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEngine, type EngineOptions } from '../../../../src/adapters/docker/engine.ts';
import { systemClock } from '../../../../src/adapters/system/time.ts';
import { type EnginePlayer, type Play, playEngine, VERSION } from './engine-player.ts';

let directory: string;
let socketPath: string;
let player: EnginePlayer | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-engine-'));
  socketPath = join(directory, 'docker.sock');
});

afterEach(async () => {
  await player?.end();
  player = undefined;
  rmSync(directory, { recursive: true });
});

const open = (options: Partial<EngineOptions> = {}) => createEngine({ clock: systemClock }, { socketPath, ...options });

async function play(script: Play): Promise<EnginePlayer> {
  player = await playEngine(socketPath, script);
  return player;
}

const SPEC = {
  name: 'web',
  driver: 'overlayd',
  internal: true,
  labels: { 'overlayd.network': 'n1' },
  options: { mtu: '1400' },
  ipamOptions: { net: 'web' },
  subnets: [{ cidr: '10.0.0.0/24', gateway: '10.0.0.1', ipRange: '10.0.0.128/25', auxAddresses: { r: '10.0.0.2' } }],
};

describe('networks', () => {
  it('are listed with what says whose they are', async () => {
    await play(({ path }) =>
      path === '/networks'
        ? {
            status: 200,
            body: [
              { Id: 'a', Name: 'host', Driver: 'host', Labels: null, IPAM: { Driver: 'default', Options: null } },
              {
                Id: 'b',
                Name: 'web',
                Driver: 'overlayd',
                Labels: { x: 'y' },
                Options: { mtu: '1400' },
                IPAM: { Driver: 'overlayd', Options: { net: 'web' }, Config: [{ Subnet: '10.0.0.0/24' }] },
                New: [],
              },
            ],
          }
        : { status: 404 },
    );
    expect(await open().networks()).toEqual([
      {
        ...{ id: 'a', name: 'host', driver: 'host', labels: {}, options: {} },
        ...{ ipamDriver: 'default', ipamOptions: {}, subnets: [] },
      },
      {
        ...{ id: 'b', name: 'web', driver: 'overlayd', labels: { x: 'y' }, options: { mtu: '1400' } },
        ...{ ipamDriver: 'overlayd', ipamOptions: { net: 'web' }, subnets: ['10.0.0.0/24'] },
      },
    ]);
  });

  it('that it has removed are those of the events that it remembers', async () => {
    const removal = (id: string) => ({
      Type: 'network',
      Action: 'destroy',
      Actor: { ID: id, Attributes: { name: id } },
    });
    const { calls } = await play(({ path }) =>
      path.startsWith('/events') ? { status: 200, lines: [removal('a'), removal('b')] } : { status: 404 },
    );
    expect(await open().removedNetworks()).toEqual(new Set(['a', 'b']));
    const asked = new URLSearchParams(calls.at(-1)!.path.split('?')[1]);
    expect(asked.get('since')).toBe('0');
    // A moment that is over: an engine ends the reply there.
    expect(Number(asked.get('until'))).toBeLessThanOrEqual(Date.now() / 1_000);
    expect(JSON.parse(asked.get('filters')!)).toEqual({ type: ['network'], event: ['destroy'] });
  });

  it('are made', async () => {
    const { calls } = await play(({ path }) =>
      path === '/networks/create' ? { status: 201, body: { Id: 'b', Warning: '' } } : { status: 404 },
    );
    expect(await open().createNetwork(SPEC)).toBe('b');
    expect(calls.at(-1)).toMatchObject({
      method: 'POST',
      body: {
        ...{ Name: 'web', CheckDuplicate: true, Driver: 'overlayd', Internal: true, EnableIPv6: false },
        Labels: { 'overlayd.network': 'n1' },
        Options: { mtu: '1400' },
        IPAM: {
          Driver: 'overlayd',
          Options: { net: 'web' },
          Config: [
            {
              ...{ Subnet: '10.0.0.0/24', Gateway: '10.0.0.1', IPRange: '10.0.0.128/25' },
              AuxiliaryAddresses: { r: '10.0.0.2' },
            },
          ],
        },
      },
    });
  });

  it.each([
    ['of both families', SPEC.subnets, { EnableIPv6: true }],
    ['of IPv6 alone', [], { EnableIPv4: false, EnableIPv6: true }],
  ])('are made %s', async (_, subnets, flags) => {
    const { calls } = await play(({ method }) =>
      method === 'POST' ? { status: 201, body: { Id: 'b' } } : { status: 404 },
    );
    const ipv6 = { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} };
    await open().createNetwork({ ...SPEC, subnets: [...subnets, ipv6] });
    expect(calls.at(-1)).toMatchObject({ body: flags });
    const { IPAM } = calls.at(-1)!.body as { IPAM: { Config: object[] } };
    expect(IPAM.Config.at(-1)).toEqual({ Subnet: 'fd00:1::/64', Gateway: 'fd00:1::1', AuxiliaryAddresses: {} });
  });

  it('of a name that is taken are a conflict', async () => {
    const message = 'network with name web already exists';
    await play(({ method }) => (method === 'POST' ? { status: 409, body: { message } } : { status: 404 }));
    await expect(open().createNetwork(SPEC)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(message),
    });
  });

  it('are removed, or were gone already, or are in use', async () => {
    await play(({ method, path }) => {
      if (method !== 'DELETE') return { status: 404 };
      if (path === '/networks/there') return { status: 204 };
      if (path === '/networks/busy') return { status: 403, body: { message: 'network busy has active endpoints' } };
      return { status: 404, body: { message: 'no such network' } };
    });
    const engine = open();
    expect(await engine.removeNetwork('there')).toBe(true);
    expect(await engine.removeNetwork('gone')).toBe(false);
    await expect(engine.removeNetwork('busy')).rejects.toMatchObject({
      code: 'engine-refused',
      message: 'the Docker Engine refused: network busy has active endpoints',
    });
  });
});

describe('containers', () => {
  const CONTAINER = {
    Id: 'c1',
    Name: '/api',
    State: { Pid: 42, Running: true },
    Config: {
      Hostname: 'c1host',
      ExposedPorts: { '9000/udp': {}, '8080/tcp': {}, '5432/tcp': {} },
      Labels: { 'overlayd.port.api': '8080', maintainer: 'somebody' },
    },
    NetworkSettings: {
      Networks: {
        web: {
          ...{ NetworkID: 'n', EndpointID: 'e', IPAddress: '10.0.0.2', GlobalIPv6Address: 'fd00:1::2' },
          IPAMConfig: { IPv4Address: '', IPv6Address: 'fd00:1::2' },
          ...{ Aliases: ['shop'], DNSNames: ['api', 'shop', 'c1'] },
        },
        old: { NetworkID: 'o', EndpointID: '', Aliases: null, Gateway: '172.17.0.1' },
      },
    },
  };

  it('that run are listed', async () => {
    await play(({ path }) =>
      path === '/containers/json' ? { status: 200, body: [{ Id: 'a' }, { Id: 'b' }] } : { status: 404 },
    );
    expect(await open().running()).toEqual(['a', 'b']);
  });

  it('are looked at, with all names that the engine gives them', async () => {
    const script: Play = ({ path }) =>
      path === '/containers/a%2Fb/json' ? { status: 200, body: CONTAINER } : { status: 404 };
    await play(script);
    const engine = open();
    expect(await engine.inspect('a/b')).toEqual({
      id: 'c1',
      name: 'api',
      pid: 42,
      restarts: false,
      ran: false,
      failure: '',
      hostname: 'c1host',
      ports: [
        { port: 5432, protocol: 'tcp', name: 'postgresql' },
        { port: 8080, protocol: 'tcp', name: 'api' },
        { port: 9000, protocol: 'udp' },
      ],
      networks: [
        {
          ...{ network: 'web', networkId: 'n', endpointId: 'e', addresses: ['10.0.0.2', 'fd00:1::2'] },
          ...{ ip6: 'fd00:1::2', aliases: ['shop', 'api', 'c1'] },
        },
        { network: 'old', networkId: 'o', endpointId: '', addresses: [], aliases: [], gateway: '172.17.0.1' },
      ],
    });
    expect(await engine.inspect('nobody')).toBe(undefined);
  });

  it('have their files where the engine has all of them, which is asked for once', async () => {
    const { calls } = await play(({ path }) =>
      path === '/info' ? { status: 200, body: { DockerRootDir: '/data/docker', ID: 'x' } } : { status: 404 },
    );
    const engine = open();
    expect(await engine.hostsPath('c1')).toBe('/data/docker/containers/c1/hosts');
    expect(await engine.hostsPath('c2')).toBe('/data/docker/containers/c2/hosts');
    expect(calls.filter(({ path }) => path === '/info')).toHaveLength(1);
  });

  it('have their files where the engine says when it can', async () => {
    const answers = [{ status: 500 }, { status: 200, body: { DockerRootDir: '/data/docker' } }];
    await play(({ path }) => (path === '/info' ? answers.shift()! : { status: 404 }));
    const engine = open();
    await expect(engine.hostsPath('c1')).rejects.toMatchObject({ code: 'engine-refused' });
    expect(await engine.hostsPath('c1')).toBe('/data/docker/containers/c1/hosts');
  });

  it('tell why they do not run, and whether the engine is to start them', async () => {
    const failure = 'failed to create endpoint api on network web: remote: etcd does not answer (store-unavailable)';
    const state = (StartedAt: string) => ({ Pid: 0, Error: failure, StartedAt });
    const policy = (Name: string) => ({ RestartPolicy: { Name } });
    const bodies: Record<string, object> = {
      '/containers/a/json': { ...CONTAINER, State: state('2026-08-01T10:00:00.1Z'), HostConfig: policy('always') },
      '/containers/b/json': { ...CONTAINER, State: state('0001-01-01T00:00:00Z'), HostConfig: policy('no') },
    };
    await play(({ path }) => (path in bodies ? { status: 200, body: bodies[path]! } : { status: 404 }));
    expect(await open().inspect('a')).toMatchObject({ pid: 0, failure, restarts: true, ran: true });
    expect(await open().inspect('b')).toMatchObject({ pid: 0, failure, restarts: false, ran: false });
  });

  it('are unhealthy when their own check says so, and not before', async () => {
    const state = (Status?: string) => ({ Pid: 7, ...(Status && { Health: { Status } }) });
    const said = ['unhealthy', 'healthy', 'starting', 'none', undefined].map(state);
    await play(({ path }) => {
      const at = /^\/containers\/c(\d)\/json$/.exec(path)?.[1];
      return at ? { status: 200, body: { ...CONTAINER, State: said[Number(at)]! } } : { status: 404 };
    });
    const engine = open();
    const found = await Promise.all(said.map((_, at) => engine.inspect(`c${at}`)));
    expect(found.map((container) => container?.unhealthy)).toEqual([true, undefined, undefined, undefined, undefined]);
  });

  it('are started; one that runs is left so', async () => {
    const { calls } = await play(({ path }) => ({
      status: path.includes('/b/') ? 304 : path === '/version' ? 404 : 204,
    }));
    await open().startContainer('a');
    await open().startContainer('b');
    const posts = calls.filter(({ method }) => method === 'POST').map(({ path }) => path);
    expect(posts).toEqual(['/containers/a/start', '/containers/b/start']);
  });

  it('of a network are listed with their endpoints, also those that are being started', async () => {
    const body = { Name: 'web', Containers: { c1: { Name: 'api', EndpointID: 'e1', IPv4Address: '10.0.0.2/24' } } };
    await play(({ path }) => (path === '/networks/n1' ? { status: 200, body } : { status: 404 }));
    const members = [{ containerId: 'c1', containerName: 'api', endpointId: 'e1' }];
    expect(await open().members('n1')).toEqual({ name: 'web', members });
    expect(await open().members('n2')).toBe(undefined);
  });

  it('that are something else than a container are not understood', async () => {
    await play(({ path }) =>
      path === '/version' ? { status: 404 } : { status: 200, body: { ...CONTAINER, State: 'up' } },
    );
    await expect(open().inspect('c1')).rejects.toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining('State'),
    });
  });

  it('are connected and disconnected', async () => {
    const { calls } = await play(({ method }) => ({ status: method === 'POST' ? 200 : 404 }));
    const engine = open();
    const options = { 'com.docker.network.endpoint.sysctls': 'net.ipv4.conf.IFNAME.log_martians=1' };
    await engine.connect('n', 'c', { aliases: ['db'], ip: '10.0.0.9', gwPriority: 10, options });
    await engine.connect('n', 'c', { aliases: [], ip: undefined, ip6: 'fd00:1::9' });
    await engine.disconnect('n', 'c', true);
    const posts = calls.filter(({ method }) => method === 'POST').map(({ path, body }) => ({ path, body }));
    const config = { Aliases: ['db'], IPAMConfig: { IPv4Address: '10.0.0.9' } };
    const EndpointConfig = { ...config, GwPriority: 10, DriverOpts: options };
    expect(posts).toEqual([
      { path: '/networks/n/connect', body: { Container: 'c', EndpointConfig } },
      {
        path: '/networks/n/connect',
        body: { Container: 'c', EndpointConfig: { Aliases: [], IPAMConfig: { IPv6Address: 'fd00:1::9' } } },
      },
      { path: '/networks/n/disconnect', body: { Container: 'c', Force: true } },
    ]);
  });

  it('cannot be connected to what is not there', async () => {
    await play(() => ({ status: 404, body: { message: 'network n not found' } }));
    await expect(open().connect('n', 'c', { aliases: [], ip: undefined })).rejects.toMatchObject({
      code: 'engine-refused',
    });
  });
});

describe("the API's version", () => {
  const versions = (ApiVersion: string, MinAPIVersion: string) => async () => {
    const { calls } = await play(({ path }) => {
      if (path === '/version') return { status: 200, body: { Version: 'x', ApiVersion, MinAPIVersion } };
      return { status: 200, body: [] };
    });
    await open().running();
    return calls.at(-1)?.version;
  };

  it.each([
    ['1.41', '1.12', '1.41', 'the one of an older engine'],
    ['1.54', '1.44', '1.51', 'ours, of an engine that knows it'],
    ['1.60', '1.55', '1.55', 'the oldest of an engine that knows ours no more'],
  ])('%s down to %s: %s, %s', async (newest, oldest, expected) => {
    expect(await versions(newest, oldest)()).toBe(expected);
  });

  it('is asked for again when another engine has come', async () => {
    let engine = { Version: '20.10.24', ApiVersion: '1.41', MinAPIVersion: '1.12' };
    await play(({ path, version }) => {
      if (path === '/version') return { status: 200, body: engine };
      if (version === engine.ApiVersion) return { status: 200, body: [] };
      const message = `client version ${version} is too old. Minimum supported API version is ${engine.MinAPIVersion}`;
      return { status: 400, body: { message } };
    });
    const client = open();
    await client.running();
    engine = { Version: '29.0.0', ApiVersion: '1.51', MinAPIVersion: '1.44' };
    expect(await client.running()).toEqual([]);
  });
});

describe('an engine that is away', () => {
  it('is named with its socket', async () => {
    await expect(open().running()).rejects.toMatchObject({
      code: 'engine-unavailable',
      retryable: true,
      message: expect.stringContaining(socketPath),
    });
  });

  it('while it hangs, holds nobody up', async () => {
    await play(({ path }) => (path === '/version' ? { status: 404 } : undefined));
    const engine = open({ limitMs: 30, longLimitMs: 40 });
    const hangs = { code: 'engine-unavailable', retryable: true, message: expect.stringContaining('did not answer') };
    await expect(engine.running()).rejects.toMatchObject(hangs);
    await expect(engine.inspect('c')).rejects.toMatchObject(hangs);
  });

  it('while it hangs, does not hold up an agent that stops', async () => {
    const quit = new AbortController();
    const asked = Promise.withResolvers<void>();
    await play(({ path }) => {
      if (path === '/version') return { status: 200, body: VERSION };
      asked.resolve();
      return undefined;
    });
    const engine = createEngine({ clock: systemClock }, { socketPath }, quit.signal);
    const inspected = engine.inspect('c');
    await asked.promise;
    quit.abort();
    await expect(inspected).rejects.toMatchObject({ code: 'cancelled', retryable: true });
  });

  it('is not what answers in another way', async () => {
    await play(() => ({ status: 200, body: 'hello' }));
    await expect(open().running()).rejects.toMatchObject({
      code: 'engine-unavailable',
      message: expect.stringContaining('does not answer as a Docker Engine'),
    });
  });
});
