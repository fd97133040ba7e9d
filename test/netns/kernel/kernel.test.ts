import { afterAll, beforeAll } from 'vitest';
import { planClear } from '../../../src/core/plan.ts';
import { describeKernel } from '../../contract/kernel.ts';
import { Lab } from '../../lab/lab.ts';
import { openKernel } from './kernel-host.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
});
afterAll(() => lab?.close());

describeKernel('the kernel of this machine', async () => {
  const host = lab.host(1);
  const { kernel, containers } = openKernel(host);
  const names = new Set<string>();
  return {
    kernel,
    vtep: host.address,
    async addContainer(name) {
      names.add(name);
      return await containers.resolve(await host.container(name));
    },
    async killContainer(name) {
      names.delete(name);
      await host.deleteContainer(name);
    },
    // Each monitor says `all` a second time once its process is certain to listen.
    async listening(next) {
      await next(({ kind }) => kind === 'all');
    },
    async close() {
      const observed = await kernel.observe({ host: true, networks: [], containers: [], ports: [] });
      await kernel.apply(planClear(observed));
      for (const name of names) await host.deleteContainer(name);
    },
  };
});
