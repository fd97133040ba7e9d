import { describeKernel } from '../contract/kernel.ts';
import { describeEngineKernel } from '../contract/kernel-engine.ts';
import { describeIpv6Kernel } from '../contract/kernel-ipv6.ts';
import { describeMulticastKernel } from '../contract/kernel-multicast.ts';
import { describeKernelRows } from '../contract/kernel-rows.ts';
import { FakeKernel } from './fake-kernel.ts';

const open = async () => {
  const kernel = new FakeKernel();
  return {
    kernel,
    vtep: '10.77.0.1',
    addContainer: async (name: string) => kernel.addContainer(`/run/netns/${name}`),
    killContainer: async (name: string) => kernel.killContainer(`/run/netns/${name}`),
    takeOver: async (link: string, container: string, inside: { ifname: string; cidr: string }) =>
      kernel.takeOver(link, `/run/netns/${container}`, inside),
    routesIn: async (container: string) => JSON.stringify(kernel.machine.snapshot(`/run/netns/${container}`)!.routes),
    close: async () => undefined,
  };
};

describeKernel('the kernel in memory', open);
describeEngineKernel('the kernel in memory', open);
describeIpv6Kernel('the kernel in memory', open);
describeKernelRows('the kernel in memory', open);
describeMulticastKernel('the kernel in memory', open);
