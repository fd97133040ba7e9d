import { afterAll, beforeAll } from 'vitest';
import { vniOfNamespaceId } from '../../../src/adapters/kernel/namespace-ids.ts';
import { planClear } from '../../../src/core/plan.ts';
import { describeKernel } from '../../contract/kernel.ts';
import type { KernelHost } from '../../contract/kernel-bench.ts';
import { describeEngineKernel } from '../../contract/kernel-engine.ts';
import { describeIpv6Kernel } from '../../contract/kernel-ipv6.ts';
import { describeMulticastKernel } from '../../contract/kernel-multicast.ts';
import { describeKernelRows } from '../../contract/kernel-rows.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { openKernel } from './kernel-host.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
});
afterAll(() => lab?.close());

async function open(): Promise<KernelHost> {
  const host = lab.host(1);
  const { kernel, containers } = openKernel(host);
  const names = new Set<string>();
  /** A namespace ends a moment later than its name: its id is taken until then, and its links end last. */
  const settled = async () => {
    await until('the namespaces to end', async () => {
      const named = [...(await host.must(['ip', 'netns', 'list'])).matchAll(/ovl-\d+/g)].map(([name]) => name);
      const ids = JSON.parse(await host.must(['ip', '-json', 'netns', 'list-id'])) as readonly { nsid: number }[];
      const links = await host.must(['ip', '-brief', 'link', 'show', 'type', 'veth']);
      const uplinks = links.match(/^ovl\d+/gm) ?? [];
      const left = [...ids.map(({ nsid }) => vniOfNamespaceId(nsid)), ...uplinks.map((name) => Number(name.slice(3)))];
      return (
        left.every((vni) => vni <= 0 || named.includes(`ovl-${vni}`)) && (named.length > 0 || !/^ovc/m.test(links))
      );
    });
  };
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
    async takeOver(link, container, { ifname, cidr }) {
      await host.must(['ip', 'link', 'set', link, 'netns', container]);
      const inside = [`link set ${link} name ${ifname}`, `address add ${cidr} dev ${ifname}`, `link set ${ifname} up`];
      await host.mustExec(container, ['ip', '-batch', '-'], { input: inside.join('\n') });
    },
    routesIn: (container) => host.mustExec(container, ['ip', 'route', 'show']),
    settled,
    async close() {
      const observed = await kernel.observe({ host: true, networks: [], containers: [], ports: [] });
      await kernel.apply(planClear(observed));
      for (const name of names) await host.deleteContainer(name);
      await settled();
    },
  };
}

describeKernel('the kernel of this machine', open);
describeEngineKernel('the kernel of this machine', open);
describeIpv6Kernel('the kernel of this machine', open);
describeKernelRows('the kernel of this machine', open);
describeMulticastKernel('the kernel of this machine', open);
