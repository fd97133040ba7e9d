/** Engines beside an etcd that goes back in time. */
import { expect, it } from 'vitest';
import { useEngines } from './engine-story.ts';

const { cluster, hosts, pass, create, offered } = useEngines();

it('keep their networks when etcd falls back while an engine lists what it has', async () => {
  const [one] = hosts();
  const backup = cluster().etcd.backUp();
  await create('web');
  const { engine } = one;
  const list = engine.networks.bind(engine);
  engine.networks = async () => {
    const listed = await list();
    await cluster().clock.sleep(2_000);
    return listed;
  };
  one.engineSide!.networks.sync();
  await pass(500);
  cluster().etcd.restore(backup);
  await pass(10_000);
  expect(one.running.view.behind).toBe(true);
  expect(offered(one)).toEqual(['web']);
  engine.networks = list;
  // Nobody has anything on it, so etcd's word counts after a while.
  await pass(120_000);
  expect(offered(one)).toEqual([]);
});
