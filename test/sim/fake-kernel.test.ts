import { describeKernel } from '../contract/kernel.ts';
import { FakeKernel } from './fake-kernel.ts';

describeKernel('the kernel in memory', async () => {
  const kernel = new FakeKernel();
  return {
    kernel,
    vtep: '10.77.0.1',
    addContainer: async (name) => kernel.addContainer(`/run/netns/${name}`),
    killContainer: async (name) => kernel.killContainer(`/run/netns/${name}`),
    close: async () => undefined,
  };
});
