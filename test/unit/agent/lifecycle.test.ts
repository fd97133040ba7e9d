import { expect, test } from 'vitest';
import type { Identity, IdentityState } from '../../../src/agent/cluster/identity.ts';
import { Lifecycle, type LifecycleDeps, type Membership } from '../../../src/agent/lifecycle.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import type { StoreChange } from '../../../src/core/records.ts';
import { ClusterFixture, DEFAULTS, hostFacts, INIT, memoryFile, pki, random } from './cluster/cluster-fixture.ts';

const MINUTE_MS = 60_000;
const PLAIN = { force: false, deleteCluster: false };
const FORCED = { force: true, deleteCluster: false };
const inUse = () => new OverlaydError('store-failed', 'the port is in use');

const IDENTITY: Identity = {
  ...{ version: 1, phase: 'member', clusterId: 'c1', nodeId: 'n1', name: 'h1', vtep: '10.0.0.1' },
  ...{ advertiseAddress: '10.0.0.1', listenAddress: '0.0.0.0', joinPort: 2377, gossipPort: 7946, dataPathPort: 4789 },
  ...{ key: '', certificate: '', caCertificate: '', caKey: '' },
  store: { endpoints: ['https://10.0.0.1:2379'], caCertificate: '', certificate: '', key: '', bundled: true },
};

/** An agent whose member, and whose etcd, start only while nothing is in the way. */
function agent(saved?: IdentityState) {
  const fixture = new ClusterFixture();
  const file = memoryFile<IdentityState>();
  file.content = saved;
  const host = {
    blocked: false,
    startMs: 0,
    etcdBlocked: false,
    starts: 0,
    ensured: 0,
    checked: 0,
    order: [] as string[],
    stops: 0,
    etcd: 'absent',
    cleared: false,
    clearBlocked: false,
    change: undefined as Partial<StoreChange> | undefined,
  };
  const startMember = async (identity: Identity) => {
    host.starts++;
    host.order.push('member started');
    if (host.blocked) throw inUse();
    await fixture.clock.sleep(host.startMs);
    const stop = async () => {
      host.stops++;
    };
    const member = { view: { storeChange: () => host.change } };
    return { identity, member, store: fixture.store, stop, quiesce: async () => {} } as unknown as Membership;
  };
  const etcd: LifecycleDeps['etcd'] = {
    ensure: async () => {
      if (host.etcdBlocked) throw inUse();
      host.etcd = 'running';
      host.ensured++;
      host.order.push('etcd ensured');
      return { endpoints: [] };
    },
    endOutdated: async () => void host.order.push('outdated etcd ended'),
    check: async () => {
      host.checked++;
    },
    stop: async () => {},
    release: () => {},
    setAside: async () => {},
    version: async () => '3.4.23',
    hindrance: undefined,
    remove: async () => {
      host.etcd = 'removed';
    },
  };
  const lifecycle = new Lifecycle(
    {
      ...{ pki, random, file, etcd, startMember, clock: fixture.clock, logger: fixture.logger },
      facts: hostFacts('h1', [['eth0', '192.168.5.1']]),
      joinClient: {
        join: () => Promise.reject(inUse()),
        isMember: async () => undefined,
        probe: async () => undefined,
      },
      openStore: () => ({ store: fixture.store, close: () => {} }),
      wireguard: { backend: async () => undefined },
      clearHost: async () => {
        if (host.clearBlocked) throw inUse();
        host.cleared = true;
      },
    },
    { ...DEFAULTS, quarantineSeconds: 60 },
  );
  return { lifecycle, host, file, log: fixture.log, clock: fixture.clock, quit: new AbortController() };
}

test('a member that cannot start is tried again until it can', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  host.blocked = true;
  const { attempted, ended } = lifecycle.resume(quit.signal);
  await clock.until(attempted);
  expect(() => lifecycle.require()).toThrow('the port is in use');
  host.blocked = false;
  await clock.advance(MINUTE_MS);
  expect(lifecycle.current?.identity).toEqual(IDENTITY);
  expect(lifecycle.situation).toEqual({ busy: undefined, problem: undefined });
  expect(host.starts).toBe(2);
  quit.abort();
  await clock.until(ended);
});

test('an etcd that is to be replaced has ended before anything here asks it, and the member does not wait for the next one', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  const { attempted, ended } = lifecycle.resume(quit.signal);
  await clock.until(attempted);
  await clock.advance(MINUTE_MS);
  expect(host.order).toEqual(['outdated etcd ended', 'member started', 'etcd ensured']);
  quit.abort();
  await clock.until(ended);
});

test('who asks while the member starts waits for it, also before that has begun; not for ever', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  host.startMs = 3_000;
  const early = lifecycle.started();
  const { attempted } = lifecycle.resume(quit.signal);
  await clock.until(early);
  expect(lifecycle.require().identity).toEqual(IDENTITY);
  await clock.until(attempted);
  await lifecycle.restart('starting again');
  await clock.until(lifecycle.started());
  expect(lifecycle.require().identity).toEqual(IDENTITY);
  host.startMs = MINUTE_MS;
  await lifecycle.restart('starting again');
  await clock.until(lifecycle.started());
  expect(() => lifecycle.require()).toThrow('the agent is busy: starting again');
  quit.abort();
});

test('a host is told to be waiting only where it is known that it is no member', async () => {
  const { lifecycle, clock, host, quit } = agent(IDENTITY);
  host.blocked = true;
  const looked = lifecycle.looked();
  expect(lifecycle.isStarting).toBe(true);
  const { attempted } = lifecycle.resume(quit.signal);
  await clock.until(looked);
  await clock.until(attempted);
  // It is tried again.
  expect(lifecycle.isStarting).toBe(true);
  host.blocked = false;
  await clock.advance(MINUTE_MS);
  expect(lifecycle.isStarting).toBe(false);
  quit.abort();

  const other = agent(undefined);
  expect(other.lifecycle.isStarting).toBe(true);
  other.lifecycle.resume(other.quit.signal);
  await other.clock.until(other.lifecycle.looked());
  expect(other.lifecycle.isStarting).toBe(false);
  other.quit.abort();
});

test('what stands in the way all the time is said once', async () => {
  const { lifecycle, host, log, clock, quit } = agent(IDENTITY);
  host.blocked = true;
  await clock.until(lifecycle.resume(quit.signal).attempted);
  await clock.advance(MINUTE_MS);
  expect(host.starts).toBeGreaterThan(10);
  expect(log.filter(({ level }) => level === 'error')).toHaveLength(1);
  expect(lifecycle.situation.problem).toBe('the port is in use');
  quit.abort();
});

test('the bundled etcd is tried again until it serves, and not after the agent ends', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  host.etcdBlocked = true;
  await clock.until(lifecycle.resume(quit.signal).attempted);
  await clock.advance(MINUTE_MS);
  expect(lifecycle.situation.problem).toBe('the port is in use');
  host.etcdBlocked = false;
  await clock.advance(MINUTE_MS);
  expect(host.etcd).toBe('running');
  expect(lifecycle.situation.problem).toBeUndefined();

  const other = agent(IDENTITY);
  other.host.etcdBlocked = true;
  await other.clock.until(other.lifecycle.resume(other.quit.signal).attempted);
  other.quit.abort();
  await other.lifecycle.stop();
  other.host.etcdBlocked = false;
  await other.clock.advance(MINUTE_MS);
  expect(other.host.etcd).toBe('absent');
});

test('a host that is being added to the keepers does not look for an etcd that has not begun', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  host.change = { kind: 'add', nodeId: IDENTITY.nodeId };
  host.etcdBlocked = true;
  await clock.until(lifecycle.resume(quit.signal).attempted);
  await clock.advance(MINUTE_MS);
  expect(lifecycle.situation.problem).toBeUndefined();
  quit.abort();
});

test('whatever keeps a member from its part, the other members have their etcd', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  host.blocked = true;
  host.etcdBlocked = true;
  await clock.until(lifecycle.resume(quit.signal).attempted);
  await clock.advance(MINUTE_MS);
  expect(host.etcd).toBe('absent');
  host.etcdBlocked = false;
  await clock.advance(MINUTE_MS);
  expect(host.etcd).toBe('running');
  expect(lifecycle.situation.problem).toBe('the port is in use');
  expect(lifecycle.current).toBeUndefined();
  const { ensured, checked } = host;
  await clock.advance(MINUTE_MS);
  expect(host.ensured).toBe(ensured);
  expect(host.checked).toBeGreaterThan(checked);
  quit.abort();
});

test('a restart that fails is made up for', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  await clock.until(lifecycle.resume(quit.signal).attempted);
  host.blocked = true;
  await lifecycle.restart('starting again');
  await clock.advance(1);
  expect(lifecycle.current).toBeUndefined();
  expect(host.stops).toBe(1);
  host.blocked = false;
  await clock.advance(MINUTE_MS);
  expect(lifecycle.current).toBeDefined();
});

test('a cluster whose first member cannot start yet is told as such, with its join command', async () => {
  const { lifecycle, host, clock, quit } = agent();
  await clock.until(lifecycle.resume(quit.signal).attempted);
  host.blocked = true;
  const outcome = await lifecycle.init(INIT, () => {});
  expect(outcome.joinCommand).toContain('overlayd join');
  expect(outcome.warnings).toEqual([expect.stringContaining('the port is in use')]);
  host.blocked = false;
  await clock.advance(MINUTE_MS);
  expect(lifecycle.current?.identity.nodeId).toBe(outcome.identity.nodeId);
});

test('a leave that is refused changes nothing', async () => {
  const { lifecycle, host, clock, quit } = agent(IDENTITY);
  await clock.until(lifecycle.resume(quit.signal).attempted);
  const before = lifecycle.current;
  // The membership of this test has no endpoints to ask for, so that leaving fails at its first step.
  await expect(clock.until(lifecycle.leave(PLAIN, () => {}))).rejects.toThrow();
  expect(lifecycle.current).toBe(before);
  expect(host.cleared).toBe(false);
});

test('a leave that cannot clear the host can be typed again', async () => {
  const { lifecycle, host, file, clock, quit } = agent(IDENTITY);
  host.blocked = true;
  await clock.until(lifecycle.resume(quit.signal).attempted);
  host.clearBlocked = true;
  await expect(clock.until(lifecycle.leave(FORCED, () => {}))).rejects.toThrow('the port is in use');
  expect(file.content).toBeDefined();
  expect(host.etcd).not.toBe('removed');
  host.clearBlocked = false;
  await clock.until(lifecycle.leave(FORCED, () => {}));
  expect(file.content).toBeUndefined();
  expect(host).toMatchObject({ etcd: 'removed', cleared: true });
});

test('a member that does not run leaves by force only', async () => {
  const { lifecycle, host, file, clock, quit } = agent(IDENTITY);
  host.blocked = true;
  await clock.until(lifecycle.resume(quit.signal).attempted);
  await expect(lifecycle.leave(PLAIN, () => {})).rejects.toThrow('the port is in use');
  await clock.until(lifecycle.leave(FORCED, () => {}));
  expect(file.content).toBeUndefined();
  expect(host).toMatchObject({ etcd: 'removed', cleared: true });
  await clock.advance(MINUTE_MS);
  expect(lifecycle.situation).toEqual({ busy: undefined, problem: undefined });
  await expect(lifecycle.leave(FORCED, () => {})).rejects.toMatchObject({ code: 'not-joined' });
});
