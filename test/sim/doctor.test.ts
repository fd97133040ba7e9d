/** Faults that are made in a simulated cluster, and what `doctor` calls them. */
import { afterEach, expect, test } from 'vitest';
import { type Asked, Doctor, type DoctorDeps } from '../../src/agent/doctor.ts';
import type { Lifecycle, Membership } from '../../src/agent/lifecycle.ts';
import { Report } from '../../src/agent/report.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const MIB = 2 ** 20;
const NO_PATH = { examine: async () => undefined, skipped: () => 'not in the simulation', status: () => undefined };
const NO_NETWORKS = { examine: async () => 0, skipped: () => 'not in the simulation' };
const STORE = { bundled: true, members: [], wanted: 3, outlook: '' };

let cluster: SimulatedCluster;
afterEach(() => cluster.stop());

/** Of networks `web`, on which the first host has a container, and as many hosts. */
async function make(hosts: number, options: Partial<ConstructorParameters<typeof SimulatedCluster>[0]> = {}) {
  cluster = new SimulatedCluster({ seed: 1, ...options });
  await cluster.start(hosts);
  const [first] = cluster.hosts as [SimulatedHost];
  await cluster.clock.until(first.running.networks.create(networkRequest('web', { subnets: ['10.9.0.0/28'] })));
  await connect(first);
  const { vni } = first.running.networks.list()[0]!;
  first.facts.linksTo = async (addresses) => new Map(addresses.map((address) => [address, `ovl${vni}`]));
  await cluster.clock.advance(5_000);
  return cluster.hosts as [SimulatedHost, ...SimulatedHost[]];
}

async function connect(host: SimulatedHost): Promise<void> {
  const request = { network: 'web', container: host.addContainer(), aliases: [] };
  await cluster.clock.until(host.running.endpoints.connect(request));
}

interface Around {
  readonly doctor?: Partial<DoctorDeps>;
  readonly asked?: Partial<Asked>;
  readonly membership?: Partial<Record<keyof Membership, unknown>>;
}

/** Codes with what they are about, of those for certain and of the others. */
async function diagnose(
  host: SimulatedHost,
  { doctor = {}, asked = {}, membership = {} }: Around = {},
): Promise<string[]> {
  const { running: member, clock, store } = host;
  const current = {
    ...{
      member,
      store,
      engineSide: host.engineSide,
      paths: NO_PATH,
      encryptedPaths: NO_PATH,
      networkPaths: NO_NETWORKS,
    },
    identity: { nodeId: host.record.id, clusterId: 'c', store: { bundled: false } },
    storeStatus: () => ({ reachable: member.storeConnected, endpoints: ['https://192.0.2.9:2379'], revision: 1 }),
    ...{
      hostFindings: () => [],
      removal: { isTold: false },
      lookAtFirewalls: async () => undefined,
      storeAlarms: async () => [],
      storeSide: { report: async () => STORE },
    },
    ...membership,
  };
  const lifecycle = { current, situation: { busy: undefined, problem: undefined } } as unknown as Lifecycle;
  const report = new Report({ lifecycle, clock, ofHost: () => [] });
  const looking = new Doctor(
    {
      ...{ report, kernel: host.kernel, clock, knock: async () => undefined },
      disk: async () => ({ freeBytes: 500 * MIB, totalBytes: 1_000 * MIB }),
      neighbourOverflows: async () => ({ ipv4: 0, ipv6: 0 }),
      strayAddresses: async () => [],
      ...doctor,
    },
    { dataDir: '/var/lib/overlayd', version: '0.1.0' },
  );
  const { findings } = await cluster.clock.until(
    looking.diagnose({ network: '', peer: '', commandVersion: '0.1.0', ...asked }),
  );
  return findings.map(({ code, subject }) => `${code} ${subject}`.trim()).sort();
}

test('where all is well nothing is found', async () => {
  const [h1] = await make(2);
  expect(await diagnose(h1)).toEqual([]);
});

test('a host that went away', async () => {
  const [h1, h2] = await make(3);
  // One that has just joined is awaited.
  await cluster.clock.advance(600_000);
  await h2!.crash();
  await cluster.clock.advance(60_000);
  expect(await diagnose(h1)).toEqual(['member-away h2']);
});

test('etcd that does not answer, is slow, near its quota, or kept by too few', async () => {
  const [h1] = await make(3);
  const slow = { get: () => cluster.clock.sleep(900) };
  expect(await diagnose(h1, { membership: { store: slow } })).toEqual(['store-slow']);
  const silent = { get: () => cluster.clock.sleep(5_000).then(() => Promise.reject(new Error('no answer in time'))) };
  expect(await diagnose(h1, { membership: { store: silent } })).toEqual(['store-slow']);
  const member = { answers: true, role: 'leader', nodeName: 'h1', url: '', size: 950 * MIB };
  const report = async () => ({ ...STORE, members: [member] });
  expect(await diagnose(h1, { membership: { storeSide: { report } } })).toEqual([
    'store-few-members',
    'store-near-quota h1',
  ]);
  const alarms = async () => ['etcd has raised NOSPACE'];
  expect(await diagnose(h1, { membership: { storeAlarms: alarms } })).toEqual(['store-alarm']);
  h1.store.cut();
  await cluster.clock.advance(30_000);
  expect(await diagnose(h1)).toEqual(['store-away']);
});

test('etcd that answers in a tenth of each second alone is slow, whatever it was asked before', async () => {
  const [h1] = await make(2);
  const { clock } = cluster;
  const answer = async () => {
    const at = clock.elapsed() % 1_000;
    if (at >= 100) await clock.sleep(1_000 - at);
  };
  await clock.advance(300 - (clock.elapsed() % 1_000) + 1_000);
  const storeAlarms = async () => {
    await answer();
    return [];
  };
  expect(await diagnose(h1, { membership: { store: { get: answer }, storeAlarms } })).toEqual(['store-slow']);
});

test('a gossip or join port that does not answer', async () => {
  const [h1] = await make(2);
  const knock = (closed: number) => async (_: string, port: number) =>
    port === closed ? 'connection refused' : undefined;
  expect(await diagnose(h1, { doctor: { knock: knock(7946) } })).toEqual(['gossip-blocked h2']);
  expect(await diagnose(h1, { doctor: { knock: knock(2377) } })).toEqual(['join-blocked h2']);
});

test('a subnet with hardly any addresses left', async () => {
  const [h1] = await make(1);
  for (let nth = 0; nth < 11; nth++) await connect(h1);
  await cluster.clock.advance(2_000);
  expect(await diagnose(h1)).toEqual(['pool-full web']);
});

test('a name server of the host within a network', async () => {
  const [h1] = await make(1);
  h1.facts.servers = ['10.9.0.9'];
  h1.kernel.tell({ kind: 'underlay' });
  await cluster.clock.advance(5_000);
  expect(await diagnose(h1)).toEqual(['needed-address-covered']);
});

test('forwarding that something switched off, and that nobody told of', async () => {
  const [h1] = await make(1);
  h1.kernel.interfere({ kind: 'set-sysctl', at: '', key: 'net.ipv4.ip_forward', value: '0' }, { silent: true });
  expect(await diagnose(h1)).toEqual(['forwarding-off']);
});

test('what the kernel refuses, and what goes on undoing what is written', async () => {
  const [h1] = await make(1);
  const { vni } = h1.running.networks.list()[0]!;
  const at = `ovl-${vni}`;
  const address = { link: 'br0', address: '10.9.0.1', prefix: 28 };
  for (let round = 0; round < 3; round++) {
    h1.kernel.interfere({ kind: 'delete-address', at, address });
    await cluster.clock.advance(2_000);
  }
  expect(await diagnose(h1)).toEqual(['drift-returns']);
  h1.kernel.failNext(({ kind }) => kind === 'add-address', Number.POSITIVE_INFINITY);
  h1.kernel.interfere({ kind: 'delete-address', at, address });
  await cluster.clock.advance(2_000);
  expect(await diagnose(h1)).toContain('kernel-refused');
});

test('a namespace that is of no network and does not go', async () => {
  const [h1] = await make(1);
  h1.kernel.failNext(({ kind }) => kind === 'delete-namespace', Number.POSITIVE_INFINITY);
  h1.kernel.interfere({ kind: 'add-namespace', name: 'ovl-9999', id: 9_999 });
  await cluster.clock.advance(5_000);
  expect(await diagnose(h1)).toContain('left-over ovl-9999');
});

test('releases that differ, of a member and of the command', async () => {
  const [h1, h2] = await make(2);
  h2!.agent = { ...h2!.agent, version: '0.2.0' };
  await h2!.stop();
  await h2!.start();
  await cluster.clock.advance(10_000);
  expect(await diagnose(h1)).toEqual(['version-mismatch h2']);
  expect(await diagnose(h1, { asked: { commandVersion: '0.0.9' } })).toEqual([
    'version-mismatch',
    'version-mismatch h2',
  ]);
});

test('a full disk, for certain when nothing is left', async () => {
  const [h1] = await make(1);
  const disk = async () => ({ freeBytes: 0, totalBytes: 9 * MIB });
  expect(await diagnose(h1, { doctor: { disk } })).toEqual(['disk-full']);
  h1.stateFile.isFull = true;
  await connect(h1);
  await cluster.clock.advance(5_000);
  expect(await diagnose(h1)).toEqual(['state-unsaved']);
});
