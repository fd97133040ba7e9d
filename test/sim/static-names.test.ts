/** Static names: given on one host, answered on all, in one piece whoever changes them at once, gone with their network. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addStaticNames,
  listStaticNames,
  removeStaticNames,
  type StaticNamesDeps,
} from '../../src/agent/names/static-names.ts';
import { encodeRecord } from '../../src/core/record-codec.ts';
import { firstAddress, keys } from '../../src/core/records.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { question, read } from '../unit/core/dns/messages.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

let cluster: SimulatedCluster;
let one: SimulatedHost;
let two: SimulatedHost;
let webId: string;
/** Of each host's container. */
const addresses = new Map<SimulatedHost, string>();

const until = <T>(promise: Promise<T>) => cluster.clock.until(promise);
const pass = (ms: number) => cluster.clock.advance(ms);

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  [one, two] = cluster.hosts as [SimulatedHost, SimulatedHost];
  webId = (await until(one.running.networks.create(networkRequest('web')))).id;
  await pass(1_000);
  for (const host of [one, two]) {
    const request = { network: 'web', container: host.addContainer(), name: `on-${host.record.id}`, aliases: ['any'] };
    const { endpoint } = await until(host.running.endpoints.connect(request));
    addresses.set(host, firstAddress(endpoint.record));
  }
  await pass(3_000);
});

afterEach(() => cluster.stop());

function deps(host: SimulatedHost): StaticNamesDeps {
  const { commit, networks, view } = host.running;
  return { store: host.store, commit, networks, view };
}

const add = (host: SimulatedHost, name: string, type: string, ...values: readonly string[]) =>
  addStaticNames(deps(host), 'web', { name, type, values });

/** What its container is answered: the code and the data. */
async function ask(host: SimulatedHost, name: string, type: 'A' | 'TXT' = 'A') {
  const client = { networkId: webId, address: addresses.get(host)!, transport: 'udp' } as const;
  const reply = host.names.handler(question(name, type), client);
  const { rcode, answers } = read(await until(Promise.resolve(reply)));
  return [rcode, ...answers!.map((each) => ('data' in each ? String(each.data) : ''))];
}

const record = () => JSON.parse(cluster.etcd.entries(keys.staticNames(webId))[0]!.value) as { sets: object[] };

describe('static names', () => {
  it('are answered on every host as soon as the command is done, over restarts and without an agent', async () => {
    await until(add(one, 'db', 'A', '192.0.2.9'));
    await pass(50);
    for (const host of [one, two]) expect(await ask(host, 'db')).toEqual(['NOERROR', '192.0.2.9']);
    await two.stop();
    expect(await ask(two, 'db')).toEqual(['NOERROR', '192.0.2.9']);
    await until(removeStaticNames(deps(one), 'web', { name: 'db', values: [] }));
    await until(add(one, 'sql', 'A', '192.0.2.10'));
    await until(two.start());
    await pass(3_000);
    expect(await ask(two, 'db')).toEqual(['NXDOMAIN']);
    expect(await ask(two, 'sql')).toEqual(['NOERROR', '192.0.2.10']);
    two.names.kill();
    await pass(1_000);
    expect(await ask(two, 'sql')).toEqual(['NOERROR', '192.0.2.10']);
  });

  it('that two hosts change at once are whole, and what only one of them may do one does', async () => {
    const results = await until(
      Promise.allSettled([
        add(one, 'a', 'CNAME', 'b'),
        add(two, 'b', 'CNAME', 'a'),
        ...Array.from({ length: 6 }, (_, i) => add(i % 2 ? one : two, 'db', 'A', `192.0.2.${i + 1}`)),
      ]),
    );
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused).toEqual([
      expect.objectContaining({ code: 'name-in-use', message: expect.stringContaining('circle') }),
    ]);
    expect(record().sets).toContainEqual(
      expect.objectContaining({ name: 'db', values: expect.arrayContaining(['192.0.2.1', '192.0.2.6']) }),
    );
    await pass(1_000);
    expect((await ask(two, 'db')).length).toBe(7);
  });

  it('are refused beside a container of the name, and step back for one that comes', async () => {
    for (const name of ['on-node2', 'ANY', one.running.local.all()[0]!.record.id.slice(0, 12)]) {
      await expect(until(add(one, name, 'A', '192.0.2.9'))).rejects.toMatchObject({ code: 'name-in-use' });
    }
    await expect(until(add(one, 'any', 'TXT', 'x'))).rejects.toThrow(/any is the name of container on-node. on host h/);
    await until(add(one, 'db', 'A', '192.0.2.9'));
    await until(add(one, 'db', 'TXT', 'x'));
    const request = { network: 'web', container: two.addContainer(), name: 'db', aliases: [] };
    const { endpoint } = await until(two.running.endpoints.connect(request));
    await pass(1_000);
    expect(await ask(one, 'db')).toEqual(['NOERROR', firstAddress(endpoint.record)]);
    expect(await ask(one, 'db', 'TXT')).toEqual(['NOERROR']);
    expect(await until(listStaticNames(deps(one), 'web'))).toMatchObject([
      { set: { name: 'db', type: 'A' }, takenBy: 'container db on host h2' },
      { set: { name: 'db', type: 'TXT' } },
    ]);
    await until(two.running.endpoints.disconnect('web', endpoint.record.id, false));
    await pass(1_000);
    expect(await ask(one, 'db')).toEqual(['NOERROR', '192.0.2.9']);
  });

  it('keep what a newer version wrote, and leave alone what cannot be read', async () => {
    await until(add(one, 'db', 'A', '192.0.2.9'));
    const key = keys.staticNames(webId);
    const put = (value: object) => cluster.etcd.txn([], [{ kind: 'put', key, value: encodeRecord(value) }]);
    const newer = { name: 'mail', type: 'MX', values: ['10 db'], since: 1 };
    put({ networkId: webId, since: 2, sets: [{ ...record().sets[0], since: 3 }, newer] });
    await pass(1_000);
    await until(add(two, 'db', 'A', '192.0.2.10'));
    expect(record()).toEqual({
      networkId: webId,
      since: 2,
      sets: [{ name: 'db', type: 'A', values: ['192.0.2.9', '192.0.2.10'], since: 3 }, newer],
    });
    put({ networkId: webId, sets: 'elsewhere' });
    await pass(1_000);
    await expect(until(add(two, 'db', 'A', '192.0.2.11'))).rejects.toMatchObject({ code: 'version-mismatch' });
    expect(record().sets).toBe('elsewhere');
    expect((await ask(one, 'db')).length).toBe(3);
    expect(one.running.findings.map(({ text }) => text).join()).toContain(key);
  });

  it('go with their network, and none is given to one that is going', async () => {
    await until(one.running.networks.create(networkRequest('old')));
    await pass(1_000);
    const { id } = one.running.networks.list().find(({ name }) => name === 'old')!;
    await until(addStaticNames(deps(one), 'old', { name: 'db', type: 'A', values: ['192.0.2.9'] }));
    expect(cluster.etcd.entries(keys.staticNames(id))).toHaveLength(1);
    await until(two.running.networks.remove('old', new AbortController().signal));
    await pass(1_000);
    expect(cluster.etcd.entries(keys.staticNames(id))).toEqual([]);
    expect(one.running.view.staticNames(id)).toBeUndefined();
    await expect(
      until(addStaticNames(deps(one), id, { name: 'db', type: 'A', values: ['192.0.2.9'] })),
    ).rejects.toMatchObject({ code: 'network-not-found' });
  });

  it('of a network on which a host is are not changed by what a member says', async () => {
    await until(add(one, 'db', 'A', '192.0.2.9'));
    await pass(1_000);
    const key = keys.staticNames(webId);
    const forged = { networkId: webId, sets: [{ name: 'db', type: 'A', values: ['203.0.113.66'] }] };
    const delta = {
      from: 0,
      to: 0,
      records: [{ key, value: encodeRecord(forged), revision: cluster.etcd.revision + 5 }],
    };
    await until(
      cluster.network
        .transport('node2', 'a second socket of node2')
        .request({ nodeId: 'node1', address: '192.0.2.1:7946' }, { from: 'node2', members: [], delta }, 1_000),
    );
    expect(await ask(one, 'db')).toEqual(['NOERROR', '192.0.2.9']);
    await pass(10_000);
    expect(await ask(one, 'db')).toEqual(['NOERROR', '192.0.2.9']);
  });
});
