import { beforeEach, describe, expect, it } from 'vitest';
import { LocalEndpoints } from '../../../../src/agent/endpoints/local-endpoints.ts';
import { handedOver, type LocalEndpoint } from '../../../../src/core/container.ts';
import { asHost } from '../../../../src/core/expose.ts';
import type { NodeState } from '../../../../src/ports/files.ts';
import { World } from '../../../contract/kernel-world.ts';

const world = new World('h1');
const web = world.addNetwork('web', { vni: 4096, cidr: '10.0.0.0/24', gateway: '10.0.0.1' });
const api = world.addNetwork('api', { vni: 4097, cidr: '10.0.1.0/24', gateway: '10.0.1.1' });

let saved: NodeState | undefined;
/** What a power cut leaves of it. */
let onDisk: NodeState | undefined;
let local: LocalEndpoints;
let isDiskFull = false;
const etcd = { height: 0, behind: false };
beforeEach(async () => {
  saved = undefined;
  isDiskFull = false;
  local = new LocalEndpoints({
    stateFile: {
      load: async () => saved,
      save: async (state) => {
        saved = structuredClone(state);
        if (isDiskFull) throw new Error('no space left on device');
        onDisk = saved;
      },
      keep: (state) => {
        saved = structuredClone(state);
        return { kept: Promise.resolve(), onDisk: Promise.resolve() };
      },
      remove: async () => undefined,
      hindrance: undefined,
    },
    clock: { now: () => 1, elapsed: () => 0 },
    network: (id) => world.network(id),
    store: () => etcd,
  });
  await local.load('boot');
});

const inSandbox = (endpoint: LocalEndpoint, sandbox: string): LocalEndpoint => {
  const engine = { ...endpoint.engine!, sandbox };
  return { ...endpoint, container: handedOver(engine), engine };
};

describe('endpoints of this host', () => {
  it('are put in the place of what they were, in the file too', async () => {
    const endpoint = world.addHandedOver(web, '10.0.0.2');
    await local.add(endpoint);
    const known = {
      ...endpoint,
      ifname: 'eth0',
      container: { text: 'docker:c', path: '/proc/7/ns/net', identity: '7:1' },
    };
    await local.update(known);
    expect(local.all()).toEqual([known]);
    expect(saved?.endpoints).toEqual([known]);
  });

  it('do not come back by an update when they are gone', async () => {
    const endpoint = world.addHandedOver(web, '10.0.0.2');
    await local.add(endpoint);
    await local.remove(endpoint.record.id);
    await local.update(endpoint);
    expect(local.all()).toEqual([]);
    expect(saved?.endpoints).toEqual([]);
  });

  it('are found by the id that an engine gave them', async () => {
    const endpoint = world.addHandedOver(web, '10.0.0.2');
    await local.add(world.addLocal(web, '10.0.0.3', { text: 'netns:c1', path: '/run/netns/c1', identity: '1' }));
    await local.add(endpoint);
    expect(local.byEngine(endpoint.engine.endpointId)).toEqual(endpoint);
    expect(local.byEngine('nobody')).toBeUndefined();
  });

  it('have a way out while their engine says so', async () => {
    const endpoint = world.addHandedOver(web, '10.0.0.2');
    await local.add(endpoint);
    expect(local.hasWayOut(web.id, '10.0.0.2')).toBe(false);
    await local.update({ ...endpoint, engine: { ...endpoint.engine, wayOut: true } });
    expect(local.hasWayOut(web.id, '10.0.0.2')).toBe(true);
    expect(local.hasWayOut(api.id, '10.0.0.2')).toBe(false);
    await local.update({ ...endpoint, engine: { ...endpoint.engine, wayOut: false } });
    expect(local.hasWayOut(web.id, '10.0.0.2')).toBe(false);
  });

  it('that are found again have a way out as their engine says', async () => {
    const endpoint = world.addHandedOver(web, '10.0.0.2');
    await local.add(endpoint);
    expect(local.hasWayOut(web.id, '10.0.0.2')).toBe(false);
    await local.adopt([{ ...endpoint, engine: { ...endpoint.engine, wayOut: true } }]);
    expect(local.hasWayOut(web.id, '10.0.0.2')).toBe(true);
  });

  it('of one sandbox see the names of all its networks, of two only their own', async () => {
    const one = inSandbox(world.addHandedOver(web, '10.0.0.2'), '/run/docker/netns/a');
    const two = inSandbox(world.addHandedOver(api, '10.0.1.2'), '/run/docker/netns/a');
    const other = inSandbox(world.addHandedOver(web, '10.0.0.3'), '/run/docker/netns/b');
    for (const endpoint of [one, two, other]) await local.add(endpoint);
    expect(local.networksOfClient(web.id, '10.0.0.2')).toEqual([web.id, api.id]);
    expect(local.networksOfClient(web.id, '10.0.0.3')).toEqual([web.id]);
    // The process is learnt for one endpoint after the other.
    const container = { text: 'docker:c', path: '/proc/7/ns/net', identity: '7:1' };
    await local.update({ ...one, container });
    expect(local.networksOfClient(web.id, '10.0.0.2')).toEqual([web.id, api.id]);
    expect(local.networksOfClient(api.id, '10.0.1.2')).toEqual([web.id, api.id]);
    await local.update(one);
    await local.update(inSandbox(two, '/run/docker/netns/c'));
    expect(local.networksOfClient(web.id, '10.0.0.2')).toEqual([web.id]);
  });

  it('whose sandboxes are not known are not taken for one', async () => {
    // As those are that were found again when the state file was damaged.
    const of = (endpoint: LocalEndpoint, pid: number): LocalEndpoint => {
      const container = { text: `docker:${pid}`, path: `/proc/${pid}/ns/net`, identity: `${pid}:1` };
      return { ...endpoint, container };
    };
    await local.add(of(world.addHandedOver(web, '10.0.0.2'), 7));
    await local.add(of(world.addHandedOver(api, '10.0.1.2'), 8));
    await local.add(world.addHandedOver(api, '10.0.1.3'));
    expect(local.networksOfClient(web.id, '10.0.0.2')).toEqual([web.id]);
    expect(local.networksOfClient(api.id, '10.0.1.2')).toEqual([api.id]);
    expect(local.networksOfClient(api.id, '10.0.1.3')).toEqual([api.id]);
  });

  it('that are the host itself, and what is published, are on the disk when they are answered', async () => {
    const container = world.addHandedOver(web, '10.0.0.2');
    const host = asHost(world.addHandedOver(web, '10.0.0.3').record, web.vni);
    await local.add(container);
    expect(onDisk?.endpoints).toEqual([]);
    await local.add(host);
    expect(onDisk?.endpoints).toEqual([container, host]);
    await local.remove(container.record.id);
    expect(onDisk?.endpoints).toEqual([container, host]);
    await local.remove(host.record.id);
    expect(onDisk?.endpoints).toEqual([]);
    const published = [{ hostPort: 80, port: 80, protocol: 'tcp', networkId: web.id, name: 'c' }] as const;
    await local.publish(published);
    expect(onDisk?.publications).toEqual(published);
  });

  it('that are the host itself count though the disk does not take them, which is told', async () => {
    const host = asHost(world.addHandedOver(web, '10.0.0.3').record, web.vni);
    isDiskFull = true;
    await local.add(host);
    expect(local.all()).toEqual([host]);
    expect(local.unsaved).toBe('no space left on device');
  });
});
