import { desired } from '../../src/core/desired.ts';
import { plan } from '../../src/core/plan.ts';
import type { World } from '../contract/kernel-world.ts';
import { FakeKernel } from './fake-kernel.ts';

/** A kernel that was only ever brought to what is wanted now. */
export async function undamaged(world: World): Promise<FakeKernel> {
  const kernel = new FakeKernel();
  for (const { container } of world.local.values()) {
    if (!kernel.hasContainer(container.path)) kernel.addContainer(container.path);
  }
  const { self, serviceAddress } = world;
  const wanted = desired({ view: world, self, local: [...world.local.values()], serviceAddress });
  const networks = wanted.networks.map(({ namespace }) => namespace);
  const containers = [...world.local.values()].map(({ container }) => container);
  for (let pass = 0; pass < 10; pass++) {
    const observed = await kernel.observe({ host: true, networks, containers, ports: [] });
    const planned = plan(wanted, observed, { provesAbsence: true });
    if (planned.stages.length === 0) return kernel;
    await kernel.apply(planned);
  }
  throw new Error('what is wanted is never reached');
}
