import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createJsonFile, createStateFiles } from '../../../src/adapters/state-file.ts';
import { handedOver } from '../../../src/core/container.ts';
import type { NodeState } from '../../../src/ports/files.ts';
import { endpointRecord, networkRecord } from '../../fixtures/records.ts';
import { withUnknown } from '../../fixtures/unknown-fields.ts';

let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'overlayd-state-'));
  path = join(dir, 'sub', 'state.json');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const createStateFile = (disk: string) => createStateFiles({ disk, run: `${disk}.run` }).disk;
const createRunFile = (run: string) => createStateFiles({ disk: `${run}.disk`, run }).run;

const state: NodeState = {
  version: 2,
  startedAt: 1,
  serial: 7,
  bootId: 'b1',
  endpoints: [
    {
      record: endpointRecord({ networkId: 'a'.repeat(64), nodeId: 'n1', aliases: ['backend'] }),
      container: { text: 'netns:c1', path: '/run/netns/c1', identity: '4:4026532000' },
      ifname: 'eth0',
      gwPriority: -3,
      options: { 'com.docker.network.endpoint.ifname': 'eth0' },
    },
  ],
  networks: [networkRecord({ id: 'a'.repeat(64) })],
};

test('nothing there is nothing; what was saved is what is loaded, for the owner only', async () => {
  const file = createStateFile(path);
  expect(await file.load()).toBeUndefined();
  await file.save(state);
  expect(await createStateFile(path).load()).toEqual(state);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(join(dir, 'sub'))).toEqual(['state.json']);
});

test('of more endpoints than one call writes pieces (IOV_MAX) each is in the file, on disk and below /run', async () => {
  const [endpoint] = state.endpoints;
  const endpoints = Array.from({ length: 3_000 }, (_, nth) => ({
    ...endpoint!,
    record: { ...endpoint!.record, id: `${nth}`, name: `größe-${nth}` },
  }));
  for (const create of [createStateFile, createRunFile]) {
    await create(path).save({ ...state, endpoints });
    expect((await create(path).load())?.endpoints).toEqual(endpoints);
  }
});

test('a file of a release whose endpoints had one address is read, and written as this one has it', async () => {
  const [endpoint] = state.endpoints;
  const { addresses, ...record } = endpoint!.record;
  const former = { ...endpoint!, record: { ...record, address: addresses[0]!.ip } };
  const lost = { ...former, record: { ...former.record, id: 'lost', networkId: 'gone' } };
  await mkdir(join(dir, 'sub'));
  await writeFile(path, JSON.stringify({ ...state, version: 1, endpoints: [former, lost], former: [former] }));
  const loaded = await createStateFile(path).load();
  expect(loaded).toEqual({
    ...state,
    endpoints: [
      endpoint,
      {
        ...endpoint,
        record: { ...lost.record, address: undefined, addresses: [{ subnet: '10.0.1.2/32', ip: '10.0.1.2' }] },
      },
    ],
    former: [endpoint],
  });
  expect(Object.keys(loaded!.endpoints[1]!.record)).not.toContain('address');
  await writeFile(path, JSON.stringify({ ...state, version: 3 }));
  await expect(createStateFile(path).load()).rejects.toThrow(/its version is 3, this overlayd knows versions 1 and 2/);
});

test('what is below /run is the same text, for the owner only; a part of one is replaced and not kept', async () => {
  const file = createRunFile(path);
  expect(await file.load()).toBeUndefined();
  await file.save(state);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await createStateFile(`${path}.disk`).save(state);
  expect(await readFile(path, 'utf8')).toBe(await readFile(`${path}.disk`, 'utf8'));
  await rm(`${path}.disk`);
  await writeFile(path, '{"version":1,"bo');
  await writeFile(`${path}.tmp`, 'cut short, and longer than what comes after it'.repeat(100));
  await expect(file.load()).rejects.toMatchObject({ code: 'state-unreadable' });
  await file.save(state);
  expect(await file.load()).toEqual(state);
  expect(await readdir(join(dir, 'sub'))).toEqual(['state.json']);
  await file.remove();
  expect(await readdir(join(dir, 'sub'))).toEqual([]);
});

test('records keep what another version wrote into them, and the cluster’s level is remembered', async () => {
  const [endpoint] = state.endpoints;
  const newer: NodeState = {
    ...state,
    store: { height: 9, behind: false, level: 2 },
    endpoints: [{ ...endpoint!, record: withUnknown(endpoint!.record, { a: [null] }) }],
    networks: state.networks.map((network) => withUnknown(network, 'x')),
  };
  for (const create of [createStateFile, createRunFile]) {
    await create(path).save(newer);
    expect(await create(path).load()).toEqual(newer);
  }
});

test('what an agent of level 1 cannot read stands apart, so that it reads the level; all of it is found again', async () => {
  const [network] = state.networks;
  const [endpoint] = state.endpoints;
  const six = networkRecord({
    id: '6'.repeat(64),
    subnets: [...network!.subnets, { cidr: 'fd00:1::/64', gateway: 'fd00:1::1', auxAddresses: {} }],
  });
  const addresses = [...endpoint!.record.addresses, { subnet: 'fd00:1::/64', ip: 'fd00:1::2' }];
  const record = { ...endpoint!.record, id: 'six', networkId: six.id, addresses };
  const both = [{ ...endpoint!, record }, endpoint!, { ...endpoint!, record: { ...record, id: 'six-too' } }];
  const newer: NodeState = {
    ...state,
    store: { height: 9, behind: false, level: 2 },
    endpoints: both,
    former: both,
    networks: [six, network!, { ...six, id: '7'.repeat(64) }],
  };
  for (const create of [createStateFile, createRunFile]) {
    await create(path).save(newer);
    expect(await create(path).load()).toEqual(newer);
    const seen = JSON.parse(await readFile(path, 'utf8'));
    expect(seen).toMatchObject({ ...newer, endpoints: [endpoint], former: [endpoint], networks: [network] });
  }
});

test('of a file that is not usable the level is told all the same', async () => {
  path = join(dir, 'state.json');
  const store = { height: 9, behind: false, level: 3 };
  await writeFile(path, JSON.stringify({ ...state, store, networks: ['of another kind'] }));
  await expect(createStateFile(path).load()).rejects.toMatchObject({ code: 'state-unreadable', cause: { store } });
  await writeFile(path, JSON.stringify({ ...state, store: 'damaged', networks: [{}] }));
  await expect(createStateFile(path).load()).rejects.toMatchObject({ cause: { store: undefined } });
});

test('what an engine asked for is remembered with how the engine knows it', async () => {
  const engine = { endpointId: '1'.repeat(64), networkId: '2'.repeat(64) };
  const joined = { sandbox: '/run/docker/netns/1a2b3c4d5e6f', serviceRoute: '169.254.53.53/32' };
  const known = { ...engine, ...joined, containerId: '3'.repeat(64) };
  const tenth = {
    ...known,
    serviceRoute: undefined,
    serviceMetric: 1,
    wayOut: true,
    ports: [{ protocol: 'tcp' as const, port: 80 }],
  };
  const [endpoint] = state.endpoints;
  const endpoints = [engine, known, tenth].map((each) => ({ ...endpoint!, container: handedOver(each), engine: each }));
  await createStateFile(path).save({ ...state, endpoints });
  expect((await createStateFile(path).load())?.endpoints).toEqual(endpoints);
  await createStateFile(path).save({ ...state, former: endpoints });
  expect(await createStateFile(path).load()).toEqual({ ...state, former: endpoints });
});

test('of many endpoints the one that is new is made into text, and no other', async () => {
  const file = createStateFile(path);
  const made: number[] = [];
  const endpoints = Array.from({ length: 20 }, (_, index) => {
    const endpoint = { ...state.endpoints[0]!, ifname: `eth${index}` };
    return {
      ...endpoint,
      toJSON() {
        made.push(index);
        return endpoint;
      },
    };
  });
  await file.save({ ...state, endpoints: endpoints.slice(0, 19) });
  made.length = 0;
  await file.save({ ...state, endpoints });
  expect(made).toEqual([19]);
  expect((await createStateFile(path).load())?.endpoints.map(({ ifname }) => ifname)).toEqual(
    endpoints.map(({ ifname }) => ifname),
  );
});

test('saves at once: the last wins, each waits for its own or a later state', async () => {
  const file = createJsonFile<number>(path, Number, 'nothing');
  const saves = [1, 2, 3, 4].map(async (value) => {
    await file.save(value);
    return Number(await readFile(path, 'utf8')) >= value;
  });
  expect(await Promise.all(saves)).toEqual([true, true, true, true]);
  expect(await file.load()).toBe(4);
});

test('a failed save is told to its callers and does not block the next', async () => {
  const file = createJsonFile<{ toJSON?: () => unknown }>(path, () => ({}), 'nothing');
  const broken = {
    toJSON: () => {
      throw new Error('no');
    },
  };
  await expect(file.save(broken)).rejects.toMatchObject({ code: 'internal' });
  await file.save({});
  expect(await readFile(path, 'utf8')).toBe('{}\n');
});

test.each([
  ['half a file', '{"version": 1, "boo'],
  ['an empty file', ''],
  ['a newer version', '{"version": 2}'],
  ['a broken endpoint', JSON.stringify({ ...state, endpoints: [{ ...state.endpoints[0], record: { id: 3 } }] })],
  ['an endpoint without container', JSON.stringify({ ...state, endpoints: [{ record: state.endpoints[0]!.record }] })],
  [
    'a broken engine',
    JSON.stringify({ ...state, endpoints: [{ ...state.endpoints[0], engine: { endpointId: 'e' } }] }),
  ],
  [
    'a broken sandbox',
    JSON.stringify({
      ...state,
      endpoints: [{ ...state.endpoints[0], engine: { endpointId: 'e', networkId: 'n', sandbox: 7 } }],
    }),
  ],
  ['a broken network', JSON.stringify({ ...state, networks: [{}] })],
])('%s is refused by path, left in place, and kept aside by the next save', async (_, text) => {
  path = join(dir, 'state.json');
  await writeFile(path, text);
  const file = createStateFile(path);
  await expect(file.load()).rejects.toMatchObject({
    code: 'state-unreadable',
    message: expect.stringContaining(path),
  });
  expect(await readFile(path, 'utf8')).toBe(text);
  await file.save(state);
  expect(await file.load()).toEqual(state);
  const aside = (await readdir(dir)).find((name) => name.startsWith('state.json.unreadable-'));
  expect(await readFile(join(dir, aside!), 'utf8')).toBe(text);
});

test('what is not usable stays where it is until there is something in its place', async () => {
  path = join(dir, 'state.json');
  await writeFile(path, '{');
  const file = createStateFile(path);
  await expect(file.load()).rejects.toMatchObject({ code: 'state-unreadable' });
  // Stands in the way of every write.
  await mkdir(`${path}.tmp`);
  for (let time = 0; time < 2; time++) await expect(file.save(state)).rejects.toThrow('cannot be written');
  await expect(createStateFile(path).load()).rejects.toMatchObject({ code: 'state-unreadable' });
  await rm(`${path}.tmp`, { recursive: true });
  await file.save(state);
  expect(await file.load()).toEqual(state);
  expect((await readdir(dir)).filter((name) => name.startsWith('state.json.unreadable-'))).toHaveLength(1);
});

test('of what is damaged nothing is told: it may be of a key', async () => {
  path = join(dir, 'state.json');
  await writeFile(path, '{"keys":[{"privateKey":SeCrEt1234567890"}]}');
  const error: Error = await createJsonFile(path, Number, 'nothing')
    .load()
    .then(
      () => expect.fail('it is usable'),
      (thrown) => thrown,
    );
  expect(error.message).toContain('it is no JSON');
  expect(`${error.message} ${(error.cause as Error).stack}`).not.toContain('SeCrEt');
});

test('what is not usable may be moved away', async () => {
  path = join(dir, 'state.json');
  await writeFile(path, '{');
  const file = createStateFile(path);
  await expect(file.load()).rejects.toMatchObject({ code: 'state-unreadable' });
  await rm(path);
  await file.save(state);
  expect(await file.load()).toEqual(state);
});

test('remove comes after the saves before it and before those after it', async () => {
  const file = createJsonFile<number>(path, Number, 'nothing');
  await Promise.all([file.save(1), file.remove()]);
  expect(await file.load()).toBeUndefined();
  await Promise.all([file.save(1), file.remove(), file.save(2)]);
  expect(await file.load()).toBe(2);
});
