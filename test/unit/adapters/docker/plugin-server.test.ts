import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PluginServer, servePlugin } from '../../../../src/adapters/docker/plugin-server.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { DriverHandlers } from '../../../../src/ports/engine.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { callPlugin } from './plugin-caller.ts';

let directory: string;
let path: string;
let quit: AbortController;
let clock: VirtualClock;
const running: Promise<void>[] = [];

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-plugin-'));
  path = join(directory, 'overlayd.sock');
  quit = new AbortController();
  clock = new VirtualClock();
});

afterEach(async () => {
  quit.abort();
  await Promise.all(running.splice(0));
  rmSync(directory, { recursive: true });
});

const refuse = () => Promise.reject(new Error('not asked in this test'));
const NO_HANDLERS: DriverHandlers = {
  ...{ createNetwork: refuse, deleteNetwork: refuse, createEndpoint: refuse, join: refuse, leave: refuse },
  ...{ deleteEndpoint: refuse, programExternalConnectivity: refuse, requestPool: refuse, releasePool: refuse },
  ...{ requestAddress: refuse, releaseAddress: refuse },
};

async function serve(handlers: Partial<DriverHandlers> = {}) {
  const deps = { handlers: { ...NO_HANDLERS, ...handlers }, clock, logger: silent };
  const server = await servePlugin(deps, { socket: { path } }, quit.signal);
  running.push(server.ended);
  return server;
}

/** A handler that remembers what it was asked. */
function recorder<Answer>(answer: Answer) {
  const calls: unknown[] = [];
  const handler = async (call: unknown) => {
    calls.push(call);
    return answer;
  };
  return { calls, handler };
}

const call = (method: string, body?: object | string) => callPlugin(path, `/${method}`, body);

describe('what needs no agent', () => {
  it.each([
    ['Plugin.Activate', { Implements: ['NetworkDriver', 'IpamDriver'] }],
    ['NetworkDriver.GetCapabilities', { Scope: 'local', ConnectivityScope: 'global' }],
    ['IpamDriver.GetCapabilities', { RequiresMACAddress: false, RequiresRequestReplay: false }],
    [
      'IpamDriver.GetDefaultAddressSpaces',
      { LocalDefaultAddressSpace: 'overlayd-local', GlobalDefaultAddressSpace: 'overlayd-global' },
    ],
    ['NetworkDriver.EndpointOperInfo', { Value: {} }],
    ['NetworkDriver.DiscoverNew', {}],
    ['NetworkDriver.RevokeExternalConnectivity', {}],
  ])('%s is answered, with and without a body', async (method, expected) => {
    await serve();
    for (const body of [undefined, { NetworkID: 'n', EndpointID: 'e' }]) {
      const reply = await call(method, body);
      expect(reply).toMatchObject({ status: 200, body: expected });
      expect(reply.headers['content-type']).toBe('application/vnd.docker.plugins.v1.2+json');
    }
  });

  it('a method that is not ours does not exist', async () => {
    const server = await serve();
    const reply = await call('NetworkDriver.AllocateNetwork', {});
    expect(reply).toMatchObject({ status: 404, body: { Err: expect.stringContaining('AllocateNetwork') } });
    expect((await callPlugin(path, '/Plugin.Activate', undefined, 'GET')).status).toBe(404);
    expect(server.counters().requests).toBe(0);
  });
});

// The bodies are those of Docker 20.10, 26.1, 28.5 and 29.
describe('a call as Docker writes it', () => {
  it('creates a network', async () => {
    const { calls, handler } = recorder(undefined);
    await serve({ createNetwork: handler });
    const reply = await call('NetworkDriver.CreateNetwork', {
      NetworkID: 'n1',
      Options: {
        'com.docker.network.enable_ipv6': false,
        'com.docker.network.generic': { net: 'web' },
        'com.docker.network.internal': true,
      },
      IPv4Data: [
        {
          AddressSpace: 'overlayd-local',
          Pool: '10.0.0.0/24',
          Gateway: '10.0.0.1/24',
          AuxAddresses: { router: '10.0.0.2/24' },
        },
      ],
      IPv6Data: null,
    });
    expect(reply).toMatchObject({ status: 200, body: {} });
    const pool = { addressSpace: 'overlayd-local', pool: '10.0.0.0/24', gateway: '10.0.0.1/24' };
    expect(calls).toEqual([
      {
        networkId: 'n1',
        ...{ internal: true, ipv4: true },
        options: { net: 'web' },
        pools: [{ ...pool, auxAddresses: { router: '10.0.0.2/24' } }],
        ipv6Pools: [],
      },
    ]);
  });

  it.each([
    [{}, true],
    [{ 'com.docker.network.enable_ipv4': true }, true],
    [{ 'com.docker.network.enable_ipv4': false }, false],
  ])('creates a network with %j', async (options, ipv4) => {
    const { calls, handler } = recorder(undefined);
    await serve({ createNetwork: handler });
    const request = { NetworkID: 'n1', Options: { ...options, 'com.docker.network.generic': {} } };
    expect((await call('NetworkDriver.CreateNetwork', { ...request, IPv4Data: [], IPv6Data: [] })).body).toEqual({});
    expect(calls).toMatchObject([{ ipv4, pools: [], ipv6Pools: [] }]);
  });

  it('creates an endpoint', async () => {
    const { calls, handler } = recorder({ mac: '02:00:00:00:00:01' });
    await serve({ createEndpoint: handler });
    const reply = await call('NetworkDriver.CreateEndpoint', {
      NetworkID: 'n1',
      EndpointID: 'e1',
      Interface: { Address: '10.0.0.5/24', AddressIPv6: '', MacAddress: '' },
      Options: {
        'com.docker.network.endpoint.dnsservers': ['9.9.9.9'],
        'com.docker.network.endpoint.exposedports': [{ Proto: 6, Port: 80 }],
        'com.docker.network.driver.private.hint': 'engine',
        'com.docker.network.endpoint.ifname': 'lan0',
        'com.docker.network.endpoint.macaddress': 'AkIKAAAF',
        'com.docker.network.portmap': [{ Proto: 6, Port: 80, HostPort: 8080, HostPortEnd: 8080 }],
        weight: '3',
      },
    });
    expect(reply.body).toEqual({ Interface: { MacAddress: '02:00:00:00:00:01' } });
    expect(calls).toEqual([
      {
        networkId: 'n1',
        endpointId: 'e1',
        address: '10.0.0.5/24',
        ipv6Address: undefined,
        mac: undefined,
        publishesPorts: true,
        dnsServers: ['9.9.9.9'],
        options: { 'com.docker.network.endpoint.ifname': 'lan0', weight: '3' },
      },
    ]);
  });

  it('creates an endpoint that says little, and keeps the MAC of the user', async () => {
    const { calls, handler } = recorder({});
    await serve({ createEndpoint: handler });
    const Interface = { Address: '10.0.0.5/24', MacAddress: '02:42:0a:00:00:05' };
    const reply = await call('NetworkDriver.CreateEndpoint', {
      NetworkID: 'n',
      EndpointID: 'e',
      Interface,
      Options: null,
    });
    expect(reply.body).toEqual({ Interface: {} });
    expect(calls).toMatchObject([
      { mac: '02:42:0a:00:00:05', publishesPorts: false, dnsServers: undefined, options: {} },
    ]);
  });

  it('tells no name servers from not being told of any', async () => {
    const { calls, handler } = recorder({});
    await serve({ createEndpoint: handler });
    for (const Options of [{}, { 'com.docker.network.portmap': [] }]) {
      await call('NetworkDriver.CreateEndpoint', { NetworkID: 'n', EndpointID: 'e', Interface: null, Options });
    }
    expect(calls).toMatchObject([{ dnsServers: undefined }, { dnsServers: [] }]);
  });

  it('joins', async () => {
    const { calls, handler } = recorder({
      sourceName: 'ovc0123456789ab',
      destinationPrefix: 'eth',
      gateway: '10.0.0.1',
      ipv6Gateway: 'fd00:1::1',
      staticRoutes: [{ destination: '169.254.53.53/32' }, { destination: '10.9.0.0/16', nextHop: '10.0.0.9' }],
      disableGatewayService: false,
    });
    await serve({ join: handler });
    const reply = await call('NetworkDriver.Join', {
      NetworkID: 'n1',
      EndpointID: 'e1',
      SandboxKey: '/run/docker/netns/0123456789ab',
      Options: {
        'com.docker.network.endpoint.exposedports': [],
        'com.docker.network.portmap': [
          { Proto: 6, IP: '', Port: 80, HostIP: '', HostPort: 8080, HostPortEnd: 8080 },
          { Proto: 17, IP: '', Port: 53, HostIP: '', HostPort: 0, HostPortEnd: 0 },
          { Proto: 1, Port: 7 },
        ],
      },
    });
    expect(reply.body).toEqual({
      InterfaceName: { SrcName: 'ovc0123456789ab', DstPrefix: 'eth' },
      Gateway: '10.0.0.1',
      GatewayIPv6: 'fd00:1::1',
      StaticRoutes: [
        { Destination: '169.254.53.53/32', RouteType: 1, NextHop: '' },
        { Destination: '10.9.0.0/16', RouteType: 0, NextHop: '10.0.0.9' },
      ],
      DisableGatewayService: false,
    });
    const sandbox = '/run/docker/netns/0123456789ab';
    const ports = [
      { protocol: 'tcp', port: 80 },
      { protocol: 'udp', port: 53 },
    ];
    expect(calls).toEqual([{ networkId: 'n1', endpointId: 'e1', sandbox, publishesPorts: true, ports }]);
  });

  it('leaves, deletes, programs connectivity', async () => {
    const { calls, handler } = recorder(undefined);
    const handlers = { leave: handler, deleteEndpoint: handler, deleteNetwork: handler };
    await serve({ ...handlers, programExternalConnectivity: handler, releasePool: handler, releaseAddress: handler });
    const endpoint = { NetworkID: 'n', EndpointID: 'e' };
    await call('NetworkDriver.Leave', endpoint);
    await call('NetworkDriver.DeleteEndpoint', endpoint);
    await call('NetworkDriver.DeleteNetwork', { NetworkID: 'n' });
    const ports = { 'com.docker.network.portmap': [{ Proto: 17, Port: 53 }] };
    // The key is Docker 28's.
    const options = { ...ports, 'com.docker.network.driver.private.no_proxy_6to4': false };
    await call('NetworkDriver.ProgramExternalConnectivity', { ...endpoint, Options: options });
    await call('IpamDriver.ReleasePool', { PoolID: 'p' });
    await call('IpamDriver.ReleaseAddress', { PoolID: 'p', Address: '10.0.0.5' });
    expect(calls).toEqual([
      { networkId: 'n', endpointId: 'e' },
      { networkId: 'n', endpointId: 'e' },
      { networkId: 'n' },
      { networkId: 'n', endpointId: 'e', publishesPorts: true },
      { poolId: 'p' },
      { poolId: 'p', address: '10.0.0.5' },
    ]);
  });

  it('requests a pool', async () => {
    const { calls, handler } = recorder({ poolId: 'web', pool: '10.0.0.0/24', gateway: '10.0.0.1/24' });
    await serve({ requestPool: handler });
    const Options = { net: 'web' };
    const reply = await call('IpamDriver.RequestPool', {
      ...{ AddressSpace: 'overlayd-local', Pool: '10.0.0.0/24', SubPool: '10.0.0.128/25', V6: false },
      Options,
    });
    const Data = { 'com.docker.network.gateway': '10.0.0.1/24' };
    expect(reply.body).toEqual({ PoolID: 'web', Pool: '10.0.0.0/24', Data });
    await call('IpamDriver.RequestPool', {
      AddressSpace: 'overlayd-local',
      Pool: '',
      SubPool: '',
      Options: null,
      V6: true,
    });
    expect(calls).toEqual([
      { addressSpace: 'overlayd-local', pool: '10.0.0.0/24', subPool: '10.0.0.128/25', options: Options, ipv6: false },
      { addressSpace: 'overlayd-local', pool: undefined, subPool: undefined, options: {}, ipv6: true },
    ]);
  });

  it('requests addresses: any, one of choice for a container that has a name, the gateway', async () => {
    const { calls, handler } = recorder({ address: '10.0.0.7/24' });
    await serve({ requestAddress: handler });
    const reply = await call('IpamDriver.RequestAddress', { PoolID: 'web', Address: '', Options: null });
    expect(reply.body).toEqual({ Address: '10.0.0.7/24', Data: {} });
    const named = { 'com.docker.network.endpoint.name': 'api' };
    await call('IpamDriver.RequestAddress', { PoolID: 'web', Address: '10.0.0.7', Options: named });
    const gateway = { RequestAddressType: 'com.docker.network.gateway' };
    await call('IpamDriver.RequestAddress', { PoolID: 'web', Address: '10.0.0.1', Options: gateway });
    const none = { poolId: 'web', address: undefined, gateway: false, endpointName: undefined, mac: undefined };
    expect(calls).toEqual([
      none,
      { ...none, address: '10.0.0.7', endpointName: 'api' },
      { ...none, address: '10.0.0.1', gateway: true },
    ]);
  });
});

describe('what cannot be done', () => {
  it('is told in both fields, for Docker to show', async () => {
    const failing = () => Promise.reject(new OverlaydError('network-not-found', 'there is no network web; create it'));
    const server = await serve({ requestPool: failing });
    const reply = await call('IpamDriver.RequestPool', { AddressSpace: 'x', Options: {} });
    const text = 'there is no network web; create it (network-not-found)';
    expect(reply).toMatchObject({ status: 200, body: { Err: text, Error: text } });
    expect(server.counters()).toEqual({ requests: 1, failed: 1, timedOut: 0 });
  });

  it.each([
    ['no body', undefined, /no body/],
    ['a body that is no JSON', '{"NetworkID":', /no JSON/],
    ['a body beyond all measure', `{"NetworkID":"${'x'.repeat(1024 * 1024)}"}`, /larger than 1 MiB/],
  ])('%s is a bad request', async (_, body, expected) => {
    const server = await serve();
    const reply = await call('NetworkDriver.DeleteNetwork', body);
    expect(reply).toMatchObject({ status: 400, body: { Err: expect.stringMatching(expected) } });
    expect(server.counters()).toEqual({ requests: 1, failed: 1, timedOut: 0 });
  });

  it('a field of another type is named', async () => {
    await serve();
    const reply = await call('NetworkDriver.Join', { NetworkID: 7, EndpointID: 'e', SandboxKey: '/x' });
    expect(reply.body.Err).toMatch(/NetworkID: .*expected string.*\(invalid-argument\)$/);
    expect((await call('NetworkDriver.Leave', '[]')).body.Err).toMatch(/\(invalid-argument\)$/);
  });

  it('what nobody foresaw is an error all the same', async () => {
    await serve({ leave: () => Promise.reject(new TypeError('x is undefined')) });
    const reply = await call('NetworkDriver.Leave', { NetworkID: 'n', EndpointID: 'e' });
    expect(reply).toMatchObject({ status: 200, body: { Err: 'x is undefined (internal)' } });
  });
});

describe('a handler that takes too long', () => {
  const leaving = { NetworkID: 'n', EndpointID: 'e1' };

  /** Lets time pass until the reply is there. */
  async function passing<T>(server: PluginServer, reply: Promise<T>, begun: Promise<unknown>): Promise<T> {
    await begun;
    await clock.advance(11_999);
    expect(server.counters().timedOut).toBe(0);
    await clock.advance(5_000);
    return reply;
  }

  it('gets its signal, and may say what it waited for', async () => {
    const begun = Promise.withResolvers<void>();
    const server = await serve({
      leave: (_, signal) => {
        begun.resolve();
        const waiting = Promise.withResolvers<void>();
        signal.addEventListener('abort', () =>
          waiting.reject(new OverlaydError('store-unavailable', 'etcd does not answer')),
        );
        return waiting.promise;
      },
    });
    const reply = await passing(server, call('NetworkDriver.Leave', leaving), begun.promise);
    expect(reply.body.Err).toBe('etcd does not answer (store-unavailable)');
    expect(server.counters()).toEqual({ requests: 1, failed: 1, timedOut: 1 });
  });

  it('is left behind when it does not heed its signal', async () => {
    const begun = Promise.withResolvers<void>();
    const server = await serve({
      leave: () => {
        begun.resolve();
        return new Promise(() => {});
      },
    });
    const reply = await passing(server, call('NetworkDriver.Leave', leaving), begun.promise);
    expect(reply.body.Err).toMatch(/^NetworkDriver.Leave \(EndpointID e1\) was not done within 12 s .*\(cancelled\)$/);
    expect(server.counters()).toEqual({ requests: 1, failed: 1, timedOut: 1 });
    expect((await call('Plugin.Activate')).status).toBe(200);
  });
});

describe('a server that ends', () => {
  it('answers the calls that run', async () => {
    const begun = Promise.withResolvers<void>();
    const server = await serve({
      leave: (_, signal) => {
        begun.resolve();
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
    });
    const reply = call('NetworkDriver.Leave', { NetworkID: 'n', EndpointID: 'e' });
    await begun.promise;
    quit.abort();
    expect((await reply).body.Err).toBe('the overlayd agent stops; try again (cancelled)');
    await server.ended;
  });
});
