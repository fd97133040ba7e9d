import { expect, test } from 'vitest';
import { AddressWatch } from '../../../../src/agent/cluster/address-watch.ts';
import { OwnIdentity } from '../../../../src/agent/cluster/own-identity.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import type { HostAddress } from '../../../../src/core/host-facts.ts';
import type { NodeRecord } from '../../../../src/core/records.ts';
import { ClusterFixture, type LogLine, recordingLogger } from './cluster-fixture.ts';

const LINK = { link: 'eth0', prefix: 24 };

async function watched() {
  const cluster = new ClusterFixture();
  const { host, identity } = await cluster.found();
  const log: LogLine[] = [];
  const state = {
    addresses: [{ ...LINK, address: '10.0.0.1' }] as HostAddress[],
    busy: false,
    name: undefined as string | undefined,
    restarts: [] as string[],
    booted: false,
  };
  const watch = new AddressWatch({
    ...{
      clock: cluster.clock,
      own: new OwnIdentity(host.file, identity),
      logger: recordingLogger(log),
      onProblems: () => undefined,
      name: () => state.name,
    },
    facts: { addresses: async () => state.addresses, links: async () => ['lo', 'eth0'] },
    hasBooted: async () => state.booted,
    moved: async (why) => {
      if (state.busy) throw new OverlaydError('conflict', 'the agent is busy');
      state.restarts.push(why);
    },
  });
  /** Signing takes real time: virtual time goes on until it is done. */
  const eventually = async (happened: () => boolean) => {
    while (!happened()) await cluster.clock.advance(100);
  };
  return { cluster, host, watch, state, log, eventually };
}

test('a change is taken once it has settled, saved with a certificate of its own, and tried until the agent is free', async () => {
  const { cluster, host, watch, state, log, eventually } = await watched();
  const quit = new AbortController();
  const ended = watch.keep(() => [], quit.signal).catch(() => undefined);
  state.busy = true;
  state.addresses = [];
  watch.look();
  await cluster.drive(cluster.clock.sleep(1_000));
  state.addresses = [{ ...LINK, address: '10.0.0.9' }];
  const tried = 'a changed address is not followed yet, trying again';
  await eventually(() => log.some(({ message }) => message === tried));
  expect(host.file.content).toMatchObject({
    advertiseAddress: '10.0.0.9',
    vtep: '10.0.0.9',
    addressLinks: { '10.0.0.9': 'eth0' },
  });
  state.busy = false;
  await eventually(() => state.restarts.length > 0);
  expect(state.restarts).toContain('starting again with another address');
  expect(log.filter(({ fields }) => fields.event === 'address-changed')).toHaveLength(1);
  quit.abort();
  await cluster.drive(ended);
});

test('what is lost is told once, and so is its return', async () => {
  const { cluster, watch, state, log } = await watched();
  const quit = new AbortController();
  await cluster.drive(watch.settle(quit.signal));
  const ended = watch.keep(() => [], quit.signal).catch(() => undefined);
  state.addresses = [];
  for (let i = 0; i < 3; i++) {
    watch.look();
    await cluster.drive(cluster.clock.sleep(3_000));
  }
  expect(watch.problems).toHaveLength(1);
  expect(log.filter(({ message }) => message === 'address lost')).toHaveLength(1);
  state.addresses = [{ ...LINK, address: '10.0.0.1' }];
  watch.look();
  await cluster.drive(cluster.clock.sleep(3_000));
  expect(watch.problems).toEqual([]);
  expect(state.restarts).toEqual([]);
  quit.abort();
  await cluster.drive(ended);
});

test('a node that was given another name starts with it the next time, and not before', async () => {
  const { cluster, host, watch, state, log, eventually } = await watched();
  const quit = new AbortController();
  await cluster.drive(watch.settle(quit.signal));
  const ended = watch.keep(() => [], quit.signal).catch(() => undefined);
  state.name = 'db1';
  watch.look();
  await eventually(() => host.file.content?.phase === 'member' && host.file.content.name === 'db1');
  watch.look();
  await cluster.drive(cluster.clock.sleep(3_000));
  expect(log.filter(({ fields }) => fields.event === 'node-renamed')).toMatchObject([{ fields: { to: 'db1' } }]);
  expect(state.restarts).toEqual([]);
  quit.abort();
  await cluster.drive(ended);
});

test('a link that is renamed is remembered by its new name', async () => {
  const { cluster, host, watch, state, eventually } = await watched();
  const quit = new AbortController();
  await cluster.drive(watch.settle(quit.signal));
  const ended = watch.keep(() => [], quit.signal).catch(() => undefined);
  state.addresses = [{ link: 'lan0', prefix: 24, address: '10.0.0.1' }];
  watch.look();
  const links = () => (host.file.content?.phase === 'member' ? host.file.content.addressLinks : undefined);
  await eventually(() => links()?.['10.0.0.1'] === 'lan0');
  expect(state.restarts).toEqual([]);
  quit.abort();
  await cluster.drive(ended);
});

test('a disk that is full does not keep a moved host from starting', async () => {
  const { cluster, host, watch, state, log } = await watched();
  host.file.save = async () => {
    throw new Error('no space left on device');
  };
  await cluster.drive(watch.settle(new AbortController().signal));
  state.addresses = [{ ...LINK, address: '10.0.0.9' }];
  const identity = await cluster.drive(watch.settle(new AbortController().signal));
  expect(identity.advertiseAddress).toBe('10.0.0.9');
  expect(log.map(({ message }) => message)).toContain('another address of this host is not saved');
});

test('the bundled etcd of another member is followed', async () => {
  const { cluster, host, state, eventually } = await watched();
  const member = host.file.content;
  if (member?.phase !== 'member') throw new Error('no member');
  const store = { ...member.store, endpoints: ['https://10.0.0.7:2379'], certificate: '', bundled: false };
  const watch = new AddressWatch({
    ...{
      clock: cluster.clock,
      own: new OwnIdentity(host.file, { ...member, store }),
      logger: cluster.logger,
      hasBooted: async () => false,
      onProblems: () => undefined,
      name: () => undefined,
    },
    facts: { addresses: async () => state.addresses, links: async () => ['lo', 'eth0'] },
    moved: async (why) => void state.restarts.push(why),
  });
  const quit = new AbortController();
  const holder = { advertiseAddress: '10.0.0.8', holdsStore: true, left: false } as NodeRecord;
  const ended = watch.keep(() => [holder], quit.signal).catch(() => undefined);
  await eventually(() => state.restarts.length > 0);
  expect(host.file.content).toMatchObject({ store: { endpoints: ['https://10.0.0.8:2379'] } });
  expect(state.restarts).toContain('starting again with another address of etcd');
  quit.abort();
  await cluster.drive(ended);
});

test('after a boot another address of the link is not taken for the one that is still to come', async () => {
  const { cluster, watch, state, log } = await watched();
  await cluster.drive(watch.settle(new AbortController().signal));
  [state.booted, state.addresses] = [true, []];
  const settled = watch.settle(new AbortController().signal);
  await cluster.drive(cluster.clock.sleep(2_000));
  // Of DHCP, before the one that is set by hand.
  state.addresses = [{ ...LINK, address: '10.0.0.77' }];
  await cluster.drive(cluster.clock.sleep(4_000));
  state.addresses = [
    { ...LINK, address: '10.0.0.77' },
    { ...LINK, address: '10.0.0.1' },
  ];
  expect((await cluster.drive(settled)).advertiseAddress).toBe('10.0.0.1');
  expect(log.map(({ message }) => message)).toEqual(["waiting for this host's addresses"]);
});

test.each([
  ['after a boot it is awaited for ten seconds, and then followed', true, 10_000],
  ['without one what has changed is followed at once', false, 1_500],
])('%s', async (_, booted, leastMs) => {
  const { cluster, watch, state } = await watched();
  await cluster.drive(watch.settle(new AbortController().signal));
  [state.booted, state.addresses] = [booted, [{ ...LINK, address: '10.0.0.9' }]];
  const begun = cluster.clock.elapsed();
  expect((await cluster.drive(watch.settle(new AbortController().signal))).advertiseAddress).toBe('10.0.0.9');
  expect(cluster.clock.elapsed() - begun).toBeGreaterThanOrEqual(leastMs);
  expect(cluster.clock.elapsed() - begun).toBeLessThan(leastMs + 3_000);
});
