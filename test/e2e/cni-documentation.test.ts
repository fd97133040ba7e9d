/** What docs/cni.md shows is what happens: every example, run in its order as it stands there. */
import { test } from 'vitest';
import { Containerd } from '../lab/containerd.ts';
import { examplesOf, runExample } from '../lab/examples.ts';
import { useLab } from '../lab/use-lab.ts';

const containerds: Containerd[] = [];
const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    for (const host of hosts) {
      // It is the machine's own.
      await host.must(['mount', '-t', 'tmpfs', 'tmpfs', '/opt']);
      const containerd = new Containerd(host);
      await containerd.start();
      await containerd.importImage('docker.io/library/redis:latest');
      containerds.push(containerd);
    }
  },
});

test.each(examplesOf('cni'))('%s', async (_, steps) => {
  await runExample(steps, (host, command) => containerds[host - 1]!.shell(command));
  for (const host of lab().hosts) await host.mustOverlayd('status');
});
