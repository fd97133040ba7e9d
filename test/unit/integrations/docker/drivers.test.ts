import { describe, expect, it } from 'vitest';
import type { Membership } from '../../../../src/agent/lifecycle.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { createDrivers, type DriversDeps } from '../../../../src/integrations/docker/drivers.ts';
import { seededRandom } from '../../../sim/seeded-random.ts';
import { settle, VirtualClock } from '../../../sim/virtual-clock.ts';

const forever = new AbortController().signal;
const ids = { networkId: 'n', endpointId: 'e' };
const endpoint = { ...ids, address: '10.0.0.2/24', ipv6Address: undefined, mac: undefined, publishesPorts: false };
const createEndpoint = { ...endpoint, dnsServers: [], options: {} };

function setUp(lifecycle: Partial<DriversDeps['lifecycle']> = {}, ready = Promise.resolve()) {
  const clock = new VirtualClock();
  const none = {
    current: undefined,
    situation: { busy: undefined, problem: undefined },
    leaving: false,
    require: () => {
      throw new OverlaydError('not-joined', 'this host is not a member of a cluster');
    },
  };
  return {
    clock,
    drivers: createDrivers({ lifecycle: { ...none, ...lifecycle }, clock, random: seededRandom(1), ready }),
  };
}

describe('on a host that is no member', () => {
  it('nothing is made', async () => {
    const { drivers } = setUp();
    await expect(drivers.createEndpoint(createEndpoint, forever)).rejects.toMatchObject({ code: 'not-joined' });
  });

  it('whatever is to go is gone', async () => {
    const { drivers } = setUp();
    await drivers.leave(ids, forever);
    await drivers.deleteEndpoint(ids, forever);
    await drivers.releaseAddress({ poolId: 'web/10.0.0.0/24', address: '10.0.0.2' }, forever);
    await drivers.releasePool({ poolId: 'web/10.0.0.0/24' }, forever);
    await drivers.deleteNetwork({ networkId: 'n' }, forever);
  });
});

it('an agent that has nothing to do with Docker says so', async () => {
  const membership = { engineSide: undefined, member: { storeHeard: true } } as unknown as Membership;
  const { drivers } = setUp({ current: membership, require: () => membership });
  await expect(drivers.createEndpoint(createEndpoint, forever)).rejects.toThrow('docker = "off"');
});

it('nothing of a host that leaves is taken from the cluster', async () => {
  const require = () => {
    throw new Error('looked at');
  };
  const { drivers } = setUp({ leaving: true, require });
  await drivers.deleteNetwork({ networkId: 'n' }, forever);
});

describe('while the agent starts', () => {
  const busy = () => {
    throw new OverlaydError('conflict', 'the agent is busy: starting', { retryable: true });
  };
  const starting = { situation: { busy: 'starting', problem: undefined }, require: busy };

  it('a call waits until the agent knows what it is', async () => {
    const ready = Promise.withResolvers<void>();
    const { drivers } = setUp({}, ready.promise);
    let answered = false;
    const call = drivers.createEndpoint(createEndpoint, forever).catch(() => {
      answered = true;
    });
    await settle();
    expect(answered).toBe(false);
    ready.resolve();
    await call;
    expect(answered).toBe(true);
  });

  it('a call in the middle of which the member starts anew is made again', async () => {
    let tries = 0;
    const situation = { busy: undefined as string | undefined, problem: undefined };
    const require = () => {
      if (++tries > 1) throw new OverlaydError('not-joined', 'the second try');
      situation.busy = 'starting again';
      throw new OverlaydError('cancelled', 'the agent is stopping', { retryable: true });
    };
    const { clock, drivers } = setUp({ situation, require });
    const call = drivers.createEndpoint(createEndpoint, forever);
    await expect(clock.until(call)).rejects.toThrow('the second try');
  });

  it('a call is tried until it succeeds', async () => {
    let tries = 0;
    const member = { storeHeard: true, local: {} };
    const remove = async () => undefined;
    const membership = { member, engineSide: { endpoints: { remove } } } as unknown as Membership;
    const require = () => (++tries < 4 ? busy() : membership);
    const { clock, drivers } = setUp({ ...starting, require });
    await clock.until(drivers.deleteEndpoint(ids, forever));
    expect(tries).toBe(4);
  });

  it('a call that takes too long says what it waited for', async () => {
    const { clock, drivers } = setUp(starting);
    const limit = new AbortController();
    const call = drivers.createEndpoint(createEndpoint, limit.signal);
    call.catch(() => undefined);
    await clock.advance(5_000);
    limit.abort();
    await expect(call).rejects.toThrow('the agent is busy: starting');
  });
});
