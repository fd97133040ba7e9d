/** What an engine says of its containers' health is in their records, as it is now, whoever missed that it changed. */
import { beforeEach, expect, it } from 'vitest';
import { useEngines } from './engine-story.ts';
import type { FakeContainer } from './fake-containers.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { hosts, until, pass, create, run, claims } = useEngines();
let one: SimulatedHost;
let api: FakeContainer;

beforeEach(async () => {
  [one] = hosts();
  await create('web');
  api = await run(one, 'api', { web: {} });
  await pass(1_000);
});

const becomes = (unhealthy: boolean) => {
  api.unhealthy = unhealthy;
  one.engine.tell({ kind: 'container', action: 'health', id: api.id });
  return pass(1_000);
};
const health = () => claims().map((record) => record.health);

it('is in its record, and in nobody’s any more when it is well again, or has been started anew', async () => {
  expect(health()).toEqual([undefined]);
  await becomes(true);
  expect(health()).toEqual(['unhealthy']);
  expect(hosts()[1].running.view.endpoint(claims()[0]!)?.health).toBe('unhealthy');
  await becomes(false);
  expect(health()).toEqual([undefined]);
  expect(Object.keys(claims()[0]!)).not.toContain('health');
  await becomes(true);
  await until(one.engine.stopContainer('api'));
  api.unhealthy = false;
  await until(one.engine.startContainer('api'));
  await pass(1_000);
  expect(health()).toEqual([undefined]);
});

it('is asked for after the agent was away', async () => {
  await one.stop();
  api.unhealthy = true;
  await until(one.start());
  await pass(3_000);
  expect(health()).toEqual(['unhealthy']);
  await one.crash();
  api.unhealthy = false;
  await until(one.start());
  await pass(3_000);
  expect(health()).toEqual([undefined]);
});
