/** The agent has the rights that its unit gives it, and no others. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';
import { joinArguments, untilFlawless, untilReady } from '../lab/cluster.ts';
import { attach, untilReaches, untilResolves } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const UNIT = readFileSync(new URL('../../deploy/overlayd.service', import.meta.url), 'utf8');
const RIGHTS = /^CapabilityBoundingSet=(.*)$/m.exec(UNIT)![1]!.toLowerCase().replace(/cap_/g, '+').split(' ').join();

const lab = useLab({ hosts: 2, agents: false });

test('with those it does all that it is for', async () => {
  for (const host of lab().hosts) {
    const program = join(host.directory, 'overlayd-bounded');
    const bounded = `setpriv --no-new-privs --bounding-set=-all,${RIGHTS} --inh-caps=-all`;
    writeFileSync(program, `#!/bin/sh\nexec ${bounded} overlayd "$@"\n`, { mode: 0o755 });
    host.agent.install(program);
    await host.agent.start();
  }
  const [one, two] = [lab().host(1), lab().host(2)];
  await two.mustOverlayd(...joinArguments(await one.mustOverlayd('init', '--advertise-addr', one.address)));
  await one.mustOverlayd('network', 'create', '--attachable', 'web');
  const address = await attach(one, 'c1', 'web', '--name', 'shop');
  await attach(two, 'c2', 'web', '--name', 'client');
  await untilReaches(two, 'c2', address);
  await untilResolves(two, 'c2', 'shop', [address]);
  const namespace = (await one.must(['ip', 'netns', 'list'])).match(/ovl-\d+/)![0];
  const ports = async () => (await one.must(['ip', '-n', namespace, '-o', 'link'])).match(/ e[0-9a-f]{12}/g) ?? [];
  const [port] = await ports();
  await one.must(['ip', '-n', namespace, 'link', 'delete', port!.trim()]);
  await until('the port to be back', async () => (await ports()).length === 1);
  await untilReady(lab().hosts);
  await untilFlawless(...lab().hosts);
  await one.mustOverlayd('network', 'disconnect', 'web', 'netns:c1');
  await until('the network to be gone', async () => !(await one.must(['ip', 'netns', 'list'])).includes('ovl-'));
});
