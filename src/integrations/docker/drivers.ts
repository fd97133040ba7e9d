/**
 * Both drivers for a host that may not be a member yet, or whose agent has just been started: an engine starts its
 * containers once, at the same moment as we, and does not try again.
 */
import type { EngineSide } from '../../agent/engine/engine-side.ts';
import type { Lifecycle, Membership } from '../../agent/lifecycle.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { DriverHandlers } from '../../ports/engine.ts';
import type { Clock, Random } from '../../ports/runtime.ts';
import { createPatience } from '../patience.ts';
import { createIpamDriver } from './ipam-driver.ts';
import { createNetworkDriver } from './network-driver.ts';
import { OpeningPools } from './pools.ts';

export interface DriversDeps {
  readonly lifecycle: Pick<Lifecycle, 'require' | 'current' | 'situation' | 'leaving'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Resolves when the agent is the member that it was, or knows that it is none. */
  readonly ready: Promise<void>;
}

export function createDrivers({ lifecycle, clock, random, ready }: DriversDeps): DriverHandlers {
  const membership = (): Membership => lifecycle.require();
  const member = () => membership().member;
  const side = (): EngineSide => {
    const found = membership().engineSide;
    if (found) return found;
    throw new OverlaydError('engine-unavailable', 'this agent runs with docker = "off"; set it to "on" and restart it');
  };
  const deps = { pools: new OpeningPools(clock), member, side, random };
  const network = createNetworkDriver(deps);
  const ipam = createIpamDriver(deps);

  const patient = createPatience({ lifecycle, clock, ready });

  /** The engine does not try again by itself to start the container that this was asked for. */
  const told =
    <Call, Answer>(handle: (call: Call, signal: AbortSignal) => Promise<Answer>) =>
    async (call: Call, signal: AbortSignal): Promise<Answer> => {
      try {
        return await patient(handle)(call, signal);
      } catch (error) {
        lifecycle.current?.engineSide?.givenUp.lookSoon();
        throw error;
      }
    };

  /** What is to go is gone on a host that is no member. */
  const forgiving =
    <Call>(handle: (call: Call, signal: AbortSignal) => Promise<void>) =>
    async (call: Call, signal: AbortSignal): Promise<void> => {
      if (lifecycle.leaving) return;
      try {
        await patient(handle)(call, signal);
      } catch (error) {
        if (!isOverlaydError(error, 'not-joined')) throw error;
      }
    };

  return {
    createNetwork: patient(network.createNetwork),
    deleteNetwork: forgiving(network.deleteNetwork),
    createEndpoint: told(network.createEndpoint),
    join: told(network.join),
    leave: network.leave,
    deleteEndpoint: forgiving(network.deleteEndpoint),
    programExternalConnectivity: network.programExternalConnectivity,
    requestPool: patient(ipam.requestPool),
    releasePool: ipam.releasePool,
    requestAddress: told(ipam.requestAddress),
    releaseAddress: forgiving(ipam.releaseAddress),
  };
}
