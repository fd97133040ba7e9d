import { afterEach, expect, it } from 'vitest';
import { networkRequest } from '../fixtures/network-request.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost } from './simulated-cluster.ts';

const HOUR_MS = 3_600_000;
let cluster: SimulatedCluster;

async function make(hosts: number, options: { readonly wireguard?: 'none' } = {}): Promise<SimulatedHost[]> {
  cluster = new SimulatedCluster({ seed: 1, ...options });
  await cluster.start(hosts);
  await cluster.clock.until(cluster.hosts[0]!.running.networks.create(networkRequest('web')));
  return cluster.hosts;
}

const connect = (host: SimulatedHost) =>
  cluster.clock.until(host.running.endpoints.connect({ network: 'web', container: host.addContainer(), aliases: [] }));

afterEach(() => cluster.stop());

it('a wall clock that is set back does not make an expired lease look new', async () => {
  const [h1] = await make(2);
  await connect(h1!);
  await connect(h1!);
  await cluster.clock.until(h1!.running.endpoints.disconnect('web', 'netns:c1', false));
  h1!.skewMs -= HOUR_MS;
  await cluster.clock.advance(120_000);
  await cluster.clock.until(h1!.running.endpoints.disconnect('web', 'netns:c2', false));
  expect(h1!.running.releases.pending).toBe(0);
  expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toEqual([]);
  await checkQuiet(cluster);
});

it('a lease that etcd forgot is replaced', async () => {
  const [h1] = await make(1);
  await connect(h1!);
  await connect(h1!);
  await cluster.clock.until(h1!.running.endpoints.disconnect('web', 'netns:c1', false));
  cluster.etcd.revokeLease(cluster.etcd.leaseOf(cluster.etcd.entries('/overlayd/v2/quarantine/')[0]!.key)!);
  await cluster.clock.until(h1!.running.endpoints.disconnect('web', 'netns:c2', false));
  await cluster.clock.advance(5_000);
  expect(h1!.running.releases.pending).toBe(0);
  expect(cluster.etcd.entries('/overlayd/v2/endpoints/')).toEqual([]);
});

it.each([-HOUR_MS, HOUR_MS])('a wall clock that is set by %i ms hides nobody', async (stepMs) => {
  const [h1, h2, h3] = await make(3);
  await cluster.clock.advance(20_000);
  h1!.skewMs += stepMs;
  for (let i = 0; i < 30; i++) {
    await cluster.clock.advance(1_000);
    for (const other of [h2!, h3!]) {
      expect(h1!.running.liveness(other.record.id)).toBe('ready');
      expect(other.running.liveness(h1!.record.id)).toBe('ready');
    }
    expect(h1!.running.heardAgoMs(h2!.record.id)).toBeLessThan(5_000);
  }
});

it('an agent whose clock was set back while it did not run says so, until the clock is past what it was', async () => {
  const [h1] = await make(1);
  const restart = async (stepMs: number) => {
    await h1!.stop();
    await cluster.clock.advance(5 * 60_000);
    h1!.skewMs += stepMs;
    await h1!.start();
    await cluster.clock.advance(1_000);
    return h1!.running.local.clock.problem;
  };
  expect(await restart(0)).toBeUndefined();
  // Nobody else would notice: more has passed since than the clock was set back by.
  expect(await restart(-4 * 60_000)).toBeUndefined();
  expect(await restart(-20 * 60_000)).toMatch(/^this host's clock said .* when its agent ran last, and says .*NTP/);
  await cluster.clock.advance(15 * 60_000);
  expect(h1!.running.local.clock.problem).toBeUndefined();
  expect(await restart(HOUR_MS)).toBeUndefined();
  await h1!.crash();
  h1!.skewMs -= HOUR_MS;
  // What its file has may be older by ten minutes.
  await h1!.start();
  await cluster.clock.advance(1_000);
  expect(h1!.running.local.clock.problem).toContain('it was set back');
});

it('a clock that was ahead by years is told of once where there is no key of WireGuard to exchange for it', async () => {
  const [h1] = await make(1, { wireguard: 'none' });
  const YEARS_MS = 5 * 365 * 24 * HOUR_MS;
  const restart = async (skewMs: number) => {
    await h1!.stop();
    h1!.skewMs = skewMs;
    await h1!.start();
    await cluster.clock.advance(10_000);
    return h1!.running.local.clock.problem;
  };
  expect(await restart(YEARS_MS)).toBeUndefined();
  expect(await restart(0)).toContain('it was set back');
  expect(await restart(0)).toBeUndefined();
});

it('an agent that starts after the clock was set back keeps what it claims while it starts', async () => {
  const [h1, h2] = await make(2);
  await h1!.crash();
  h1!.skewMs -= HOUR_MS;
  h1!.store.cut('refusing');
  await h1!.start();
  await cluster.clock.advance(2_000);
  // The claim is made, and the look into the container takes its time, when the sweep of leftovers begins.
  const inside = h1!.kernel.inside.bind(h1!.kernel);
  h1!.kernel.inside = async (path) => {
    await cluster.clock.sleep(2_000);
    return await inside(path);
  };
  h1!.store.heal();
  const { endpoint } = await connect(h1!);
  await cluster.clock.advance(10_000);
  expect(h2!.running.view.endpoint(endpoint.record)).toBeDefined();
  await checkQuiet(cluster);
});
