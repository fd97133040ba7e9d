/**
 * An agent's end loses nothing that was confirmed, whatever its disk has by then; a power cut may leave a disk that is
 * older than what was confirmed, and that costs nobody an address, nor brings back what was given away.
 */

import { beforeEach, expect, it } from 'vitest';
import { firstAddress } from '../../src/core/records.ts';
import { useEngines } from './engine-story.ts';
import { forget } from './forget.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { cluster, hosts, until, pass, create, run, claims, addresses } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

const connect = (host: SimulatedHost, ip?: string) =>
  until(host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [], ip }));
const onDisk = (host: SimulatedHost) => host.disk.state!.endpoints.map(({ record }) => firstAddress(record));
const held = (host: SimulatedHost) => host.running.local.all().map(({ record }) => firstAddress(record));

/** From now on nothing gets to the disk. */
const stall = (host: SimulatedHost) => {
  host.stateFile.ms = 600_000;
};

async function startAgain(host: SimulatedHost): Promise<void> {
  host.stateFile.ms = 0;
  await until(host.start());
  void host.engine.start();
  await pass(40_000);
}

beforeEach(async () => {
  [one, two] = hosts();
  await create('web');
});

it('neither attach nor detach waits for the disk', async () => {
  stall(one);
  const { endpoint } = await connect(one);
  await until(one.running.endpoints.disconnect('web', endpoint.record.name, false));
  expect(addresses()).toEqual([]);
  one.stateFile.cut();
  one.stateFile.ms = 0;
  await pass(60_000);
});

it('both wait for what the next run of the agent will find', async () => {
  const { endpoint } = await connect(one);
  one.runFile.ms = 60_000;
  const attached = one.running.endpoints.connect({ network: 'web', container: one.addContainer(), aliases: [] });
  const detached = one.running.endpoints.disconnect('web', endpoint.record.name, false);
  await pass(50_000);
  expect(addresses()).toEqual(['10.0.0.2', '10.0.0.3']);
  one.runFile.ms = 0;
  await Promise.all([until(attached), until(detached)]);
  expect(addresses()).toEqual(['10.0.0.3']);
});

it('what was attached is there after the agent’s end, and what was detached is not, though the disk has neither', async () => {
  const { endpoint } = await connect(one);
  const api = await run(one, 'api', { web: {} });
  await pass(1_000);
  stall(one);
  await until(one.running.endpoints.disconnect('web', endpoint.record.name, false));
  await connect(one, '10.0.0.9');
  expect(onDisk(one)).toEqual(['10.0.0.2', '10.0.0.3']);
  await one.crash();
  const { writes } = one.kernel;
  await startAgain(one);
  expect(held(one)).toEqual(['10.0.0.3', '10.0.0.9']);
  expect(addresses()).toEqual(['10.0.0.3', '10.0.0.9']);
  expect(api.attachments.get('web')?.endpoint?.address).toBe('10.0.0.3/24');
  expect(one.kernel.writes).toBe(writes);
});

it('an agent that is told to stop has it on the disk', async () => {
  await connect(one);
  await pass(100);
  one.stateFile.ms = 1_000;
  await connect(one);
  expect(onDisk(one)).toEqual(['10.0.0.2']);
  await one.stop();
  expect(onDisk(one)).toEqual(['10.0.0.2', '10.0.0.3']);
  one.runFile.lose();
  await startAgain(one);
  expect(held(one)).toEqual(['10.0.0.2', '10.0.0.3']);
});

it('a claim that the disk has not heard of is released after a power cut; a container that comes back has an address', async () => {
  await pass(1_000);
  stall(one);
  await connect(one);
  const api = await until(one.engine.run('api', { networks: { web: {} }, restarts: true }));
  expect(addresses()).toEqual(['10.0.0.2', '10.0.0.3']);
  expect(onDisk(one)).toEqual([]);
  await one.reboot();
  await startAgain(one);
  expect(claims().map(({ name }) => name)).toEqual(['api']);
  expect(held(one)).toEqual(addresses());
  expect(api.attachments.get('web')?.endpoint?.address).toBe(`${addresses()[0]}/24`);
});

it.each([
  ['rests', false, false],
  ['rests, and etcd is away at first', false, true],
  ['is another host’s by now', true, false],
  ['is another host’s by now, and etcd is away at first', true, true],
])(
  'what the disk still has is not given back its address after a power cut when that %s',
  async (_, isTaken, isCut) => {
    const { endpoint } = await connect(one);
    await until(one.engine.run('api', { networks: { web: {} }, restarts: true }));
    await pass(1_000);
    stall(one);
    await until(one.running.endpoints.disconnect('web', endpoint.record.name, false));
    await until(one.engine.removeContainer('api'));
    expect(addresses()).toEqual([]);
    expect(onDisk(one)).toEqual(['10.0.0.2', '10.0.0.3']);
    await one.reboot();
    if (isTaken) {
      await pass(90_000); // until they rest no longer
      await connect(two, '10.0.0.2');
      await until(two.engine.run('far', { networks: { web: { ip: '10.0.0.3' } } }));
    }
    const owners = () => claims().map((record) => `${firstAddress(record)} ${record.id} ${record.nodeId}`);
    const before = owners();
    expect(before).toHaveLength(isTaken ? 2 : 0);
    if (isCut) {
      one.store.cut();
      await startAgain(one);
      one.store.heal();
      await pass(40_000);
    } else await startAgain(one);
    expect(owners()).toEqual(before);
    expect(held(one)).toEqual([]);
    expect(one.running.local.former()).toEqual([]);
  },
);

it('a container of the engine’s that comes back under an address that is another host’s by now gets another one', async () => {
  const api = await until(one.engine.run('api', { networks: { web: {} }, restarts: true }));
  await pass(1_000);
  await one.reboot();
  const lost = claims()[0]!;
  const address = firstAddress(lost);
  // As if it had been detached, and the disk had not heard of it.
  forget(cluster().etcd, lost);
  const far = await until(two.engine.run('far', { networks: { web: { ip: address } } }));
  await startAgain(one);
  expect(far.attachments.get('web')?.endpoint?.address).toBe(`${address}/24`);
  expect(claims().find((claim) => firstAddress(claim) === address)?.nodeId).toBe('node2');
  expect(api.attachments.get('web')?.endpoint?.address).not.toBe(`${address}/24`);
});

it('a disk that fills keeps no container from its network, and is told; a crash loses nothing', async () => {
  one.stateFile.isFull = true;
  await connect(one);
  await pass(100);
  expect(one.running.local.unsaved).toContain('no space left on device');
  await one.crash();
  await until(one.start());
  await pass(5_000);
  expect(held(one)).toEqual(['10.0.0.2']);
  expect(addresses()).toEqual(['10.0.0.2']);
  // Of this run the disk has nothing yet: the next one would not find it.
  await expect(connect(one)).rejects.toThrow('no space left on device');
  one.stateFile.isFull = false;
  await pass(6_000);
  expect(one.running.local.unsaved).toBeUndefined();
  await connect(one);
  await pass(100);
  expect(onDisk(one)).toEqual(held(one));
});

it('with no space below /run each change waits for the disk, and that is told until there is', async () => {
  one.runFile.isFull = true;
  one.stateFile.ms = 1_000;
  const attached = one.running.endpoints.connect({ network: 'web', container: one.addContainer(), aliases: [] });
  await pass(900);
  expect(onDisk(one)).toEqual([]);
  await until(attached);
  expect(onDisk(one)).toEqual(['10.0.0.2']);
  expect(one.running.local.unsaved).toContain('no space left on device');
  await one.crash();
  await until(one.start());
  await pass(5_000);
  expect(held(one)).toEqual(['10.0.0.2']);
  await connect(one);
  one.runFile.isFull = false;
  await pass(10_000);
  expect(one.running.local.unsaved).toBeUndefined();
  one.stateFile.ms = 0;
});
