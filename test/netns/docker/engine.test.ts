/**
 * Both adapters against a real Docker Engine: what it writes to a plugin is read, what the plugin answers is taken, and
 * its API does what the client says. The drivers behind the plugin are as small as can be.
 */

import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEngine } from '../../../src/adapters/docker/engine.ts';
import { servePlugin } from '../../../src/adapters/docker/plugin-server.ts';
import { systemClock } from '../../../src/adapters/system/time.ts';
import type { EngineEvent } from '../../../src/core/engine/engine.ts';
import type { Engine } from '../../../src/ports/engine.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import type { Host } from '../../lab/host.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const SPEC = {
  name: 'web',
  driver: 'overlayd',
  internal: false,
  labels: { made: 'by-test' },
  options: { id: 'n1' },
  ipamOptions: { net: 'web' },
  subnets: [
    { cidr: '10.9.0.0/24', gateway: '10.9.0.1', ipRange: '10.9.0.128/25', auxAddresses: { spare: '10.9.0.9' } },
  ],
};
const LOG: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => LOG };

const lab = useLab({ hosts: 1, agents: false });
const quit = new AbortController();
const calls: { readonly name: string; readonly call: object }[] = [];
const events: EngineEvent[] = [];
let host: Host;
let engine: Engine;
/** What the driver does when it is told that a network is removed. */
let whenDeleted = async () => {};

const named = (wanted: string) => calls.filter(({ name }) => name === wanted).map(({ call }) => call);

function note<Answer>(name: string, answer: (call: never) => Answer | Promise<Answer>) {
  return async (call: object): Promise<Answer> => {
    calls.push({ name, call });
    return answer(call as never);
  };
}

async function startPlugin(): Promise<void> {
  const nothing = async () => {};
  let last = 127;
  const handlers = {
    createNetwork: note('createNetwork', nothing),
    deleteNetwork: note('deleteNetwork', () => whenDeleted()),
    createEndpoint: note('createEndpoint', () => ({ mac: '02:42:0a:09:00:80' })),
    join: note('join', async () => {
      await host.must(['ip', 'link', 'add', 'ovc000000000001', 'type', 'veth', 'peer', 'name', 'far0']);
      return {
        sourceName: 'ovc000000000001',
        destinationPrefix: 'eth',
        gateway: '10.9.0.1',
        staticRoutes: [{ destination: '169.254.53.53/32' }],
        disableGatewayService: false,
      };
    }),
    leave: note('leave', nothing),
    deleteEndpoint: note('deleteEndpoint', nothing),
    programExternalConnectivity: note('programExternalConnectivity', nothing),
    requestPool: note('requestPool', () => ({ poolId: 'web', pool: '10.9.0.0/24' })),
    releasePool: note('releasePool', nothing),
    requestAddress: note('requestAddress', ({ address }: { address?: string }) => {
      if (address === undefined) last += 1;
      return { address: `${address ?? `10.9.0.${last}`}/24` };
    }),
    releaseAddress: note('releaseAddress', nothing),
  };
  const socket = { path: host.path('/run/docker/plugins/overlayd.sock') };
  const server = await servePlugin({ handlers, clock: systemClock, logger: LOG }, { socket }, quit.signal);
  afterAll(async () => {
    quit.abort();
    await server.ended;
  });
}

beforeAll(async () => {
  host = lab().host(1);
  await startPlugin();
  engine = createEngine({ clock: systemClock }, { socketPath: host.engine.socket });
  void (async () => {
    for await (const event of engine.events(quit.signal)) events.push(event);
  })();
  await host.engine.start();
  await host.engine.importImage();
});

const seen = (wanted: object) => until(JSON.stringify(wanted), () => events.some((event) => matches(event, wanted)));
const matches = (event: object, wanted: object) =>
  Object.entries(wanted).every(([key, value]) => (event as Record<string, unknown>)[key] === value);

describe('a real engine', () => {
  it('is told to be there, with its version', async () => {
    expect(events[0]).toMatchObject({ kind: 'unreachable' });
    const version = await host.engine.mustDocker('version', '--format', '{{.Server.Version}}');
    await seen({ kind: 'connected', version });
  });

  it('makes a network of ours, once', async () => {
    const id = await engine.createNetwork(SPEC);
    await expect(engine.createNetwork(SPEC)).rejects.toMatchObject({ code: 'conflict' });
    await seen({ kind: 'network', action: 'create', id });
    expect(await engine.networks()).toContainEqual({
      ...{ id, name: 'web', driver: 'overlayd', labels: { made: 'by-test' }, options: { id: 'n1' } },
      ...{ ipamDriver: 'overlayd', ipamOptions: { net: 'web' }, subnets: ['10.9.0.0/24'] },
    });
    const pool = { addressSpace: 'overlayd-local', pool: '10.9.0.0/24' };
    expect(named('requestPool')[0]).toEqual({
      ...{ ...pool, subPool: '10.9.0.128/25', options: { net: 'web' }, ipv6: false },
    });
    expect(named('requestAddress').slice(0, 2)).toMatchObject([
      { poolId: 'web', address: '10.9.0.1', gateway: true },
      { poolId: 'web', address: '10.9.0.9', gateway: false },
    ]);
    expect(named('createNetwork')[0]).toEqual({
      networkId: id,
      ...{ internal: false, ipv4: true },
      options: { id: 'n1' },
      pools: [{ ...pool, gateway: '10.9.0.1/24', auxAddresses: { spare: '10.9.0.9/24' } }],
      ipv6Pools: [],
    });
  });

  it('runs a container on it, and tells of it', async () => {
    const run = ['run', '-d', '--name', 'api', '--network', 'web', '--network-alias', 'shop', '--dns', '192.0.2.53'];
    const id = await host.engine.mustDocker(...run, 'busybox-local');
    const [endpoint] = named('createEndpoint') as { endpointId: string; networkId: string }[];
    expect(endpoint).toMatchObject({
      ...{ address: '10.9.0.128/24', mac: undefined, publishesPorts: false, dnsServers: ['192.0.2.53'], options: {} },
    });
    expect(named('join')[0]).toMatchObject({ sandbox: expect.stringMatching(/^\/(var\/)?run\/docker\/netns\//) });
    await seen({ kind: 'container', action: 'connect', id });
    await seen({ kind: 'container', action: 'start', id });
    expect(await engine.running()).toEqual([id]);
    const found = await engine.inspect('api');
    expect(found).toMatchObject({ id, name: 'api', pid: expect.any(Number) });
    expect(found?.networks).toMatchObject([{ networkId: endpoint?.networkId, endpointId: endpoint?.endpointId }]);
    expect(found?.networks[0]?.aliases).toEqual(expect.arrayContaining(['shop', id.slice(0, 12)]));
    expect(found?.pid).toBeGreaterThan(0);
    expect(await engine.hostsPath(id)).toBe(await host.engine.mustDocker('inspect', '-f', '{{.HostsPath}}', id));
    const link = await host.engine.mustDocker('exec', 'api', 'ip', 'addr', 'show', 'eth0');
    expect(link).toContain('10.9.0.128/24');
    expect(link).toContain('02:42:0a:09:00:80');
    expect(await host.engine.mustDocker('exec', 'api', 'ip', 'route')).toContain('169.254.53.53 dev eth0');
  });

  it('shows why something cannot be done', async () => {
    expect(await engine.inspect('nobody')).toBe(undefined);
    await expect(engine.removeNetwork('web')).rejects.toMatchObject({
      code: 'engine-refused',
      message: expect.stringContaining('active endpoints'),
    });
  });

  it('takes a container off it, and the network away', async () => {
    const [network] = (await engine.networks()).filter(({ name }) => name === 'web');
    const id = (await engine.inspect('api'))?.id ?? '';
    await engine.disconnect('web', id, false);
    await seen({ kind: 'container', action: 'disconnect', id });
    expect(named('releaseAddress')).toContainEqual({ poolId: 'web', address: '10.9.0.128' });
    expect([named('leave').length, named('deleteEndpoint').length]).toEqual([1, 1]);
    await host.must(['ip', 'link', 'del', 'far0']);

    await engine.connect('web', id, { aliases: ['again'], ip: '10.9.0.200' });
    expect(named('createEndpoint').at(-1)).toMatchObject({ address: '10.9.0.200/24' });
    expect((await engine.inspect(id))?.networks[0]?.aliases).toContain('again');

    await host.engine.mustDocker('rm', '-f', 'api');
    await seen({ kind: 'container', action: 'die', id });
    await seen({ kind: 'container', action: 'destroy', id });
    const meanwhile: unknown[] = [];
    whenDeleted = async () => {
      meanwhile.push((await engine.networks()).map(({ name }) => name).includes('web'));
      meanwhile.push((await engine.removedNetworks()).size);
    };
    expect(await engine.removeNetwork('web')).toBe(true);
    // It is listed no longer before its driver is told, and gone only after that.
    expect(meanwhile).toEqual([false, 0]);
    // What is of this very millisecond is not remembered yet.
    await until('its memory', async () => (await engine.removedNetworks()).has(network?.id ?? ''));
    expect(await engine.removeNetwork('web')).toBe(false);
    await seen({ kind: 'network', action: 'destroy', id: network?.id });
    expect(named('deleteNetwork')).toEqual([{ networkId: network?.id }]);
  });

  it('that ends and comes back is heard of both times', async () => {
    const before = events.length;
    await host.engine.stop();
    await until('the outage', () => events.slice(before).some(({ kind }) => kind === 'unreachable'));
    await expect(engine.running()).rejects.toMatchObject({ code: 'engine-unavailable' });
    expect(existsSync(host.path('/run/docker/plugins/overlayd.sock'))).toBe(true);
    await host.engine.start();
    await until('the return', () => events.slice(before).some(({ kind }) => kind === 'connected'));
    expect(await engine.removedNetworks()).toEqual(new Set());
    expect(await engine.running()).toEqual([]);
  });
});
