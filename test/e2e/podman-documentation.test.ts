/** What docs/podman.md shows is what happens: every example, run in its order as it stands there. */
import { test } from 'vitest';
import { examplesOf, runExample } from '../lab/examples.ts';
import { podmanOf, withPodman } from '../lab/podman-hosts.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 2, cluster: true, prepare: withPodman });

test.each(examplesOf('podman'))('%s', async (_, steps) => {
  await runExample(steps, (host, command) => podmanOf(lab().host(host)).shell(command));
});
