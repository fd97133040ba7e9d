import { expect, test } from 'vitest';
import { joinArguments } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

/** As Docker Swarm does: dual-stack listeners of one process, and a VXLAN device. */
const LISTENERS =
  'for (const port of [2377, 7946]) require("net").createServer().listen(port, "::", () => console.log(port))';
const VXLAN = ['ip', 'link', 'add', 'vx7', 'type', 'vxlan', 'id', '7', 'dstport', '4789', 'local'];

const lab = useLab({ hosts: 2 });

/** Returns what ends it. */
async function occupy(host: Host): Promise<() => Promise<void>> {
  const listeners = host.spawn([process.execPath, '-e', LISTENERS]);
  await until('the listeners', async () => ['2377', '7946'].every((port) => listeners.output.includes(port)));
  await host.must([...VXLAN, host.address]);
  await host.must(['ip', 'link', 'set', 'vx7', 'up']);
  return async () => {
    await listeners.kill('SIGKILL');
    await listeners.exited;
    await host.must(['ip', 'link', 'del', 'vx7']);
  };
}

test('ports that others use are refused with their names before anything is made, and chosen otherwise', async () => {
  const [one, two] = [lab().host(1), lab().host(2)];
  const release = await occupy(one);
  const answer = await one.overlayd('init', '--advertise-addr', one.address);
  expect(answer).toMatchObject({ code: 1 });
  expect(answer.stderr).toMatch(
    /2377\/tcp is in use by \S+ \(pid \d+\).*--join-port; port 7946\/tcp .*--gossip-port; port 4789\/udp is in use by the kernel.*--data-path-port/,
  );
  expect((await one.json('status')).State).toBe('waiting');
  expect((await one.run(['pidof', 'etcd'])).code).not.toBe(0);

  const others = ['--join-port', '2378', '--gossip-port', '7947', '--data-path-port', '4790'];
  const { JoinCommand, Warnings } = await one.json('init', '--advertise-addr', one.address, ...others);
  expect(Warnings ?? []).toEqual([]);

  const releaseTwo = await occupy(two);
  const join = joinArguments(JoinCommand);
  const refused = await two.overlayd(...join);
  expect(refused.stderr).toMatch(/nothing has been changed: port 2377\/tcp is in use/);
  expect(await one.mustOverlayd('node', 'ls')).not.toContain('h2');
  await release();
  await releaseTwo();

  // Given up and begun anew at once: what the kernel still takes down is not in the way.
  await two.mustOverlayd(...join);
  await one.mustOverlayd('network', 'create', 'web');
  await two.container('c1');
  await until('the network', async () => (await two.overlayd('network', 'connect', 'web', 'netns:c1')).code === 0);
  await two.mustOverlayd('network', 'disconnect', 'web', 'netns:c1');
  await two.mustOverlayd('leave');
  await two.mustOverlayd(...join);
});
