/**
 * The story with plain network namespaces as containers. With `family` 6 the hosts have addresses of IPv6 alone, and the
 * networks of both.
 */
import type { Family } from '../../src/core/ip.ts';
import { untilReady } from '../lab/cluster.ts';
import { OUTSIDE } from '../lab/internet.ts';
import { until } from '../lab/until.ts';
import { makeCluster } from './cluster.ts';
import type { Stage, Story } from './story.ts';

const ping = (name: string, ...options: readonly string[]) => [
  ...['ping', ...options, '-c', '2', '-i', '0.2', '-W', '2', name],
];

async function play(stage: Stage, family: Family): Promise<void> {
  const both = family === 6 ? ['--ipv6'] : [];
  const { lab, narrator, prompt } = stage;
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  await makeCluster(stage);

  narrator.chapter('Two networks, usable on every host at once');
  await prompt.overlayd(one, 'network', 'create', '--attachable', ...both, 'web');
  await prompt.overlayd(three, 'network', 'create', '--attachable', ...both, 'db');
  await prompt.overlayd(two, 'network', 'ls');

  narrator.chapter('Containers, here plain network namespaces, connected by name');
  for (const [host, name] of [
    [one, 'c1'] as const,
    [two, 'c2'] as const,
    [three, 'c3'] as const,
    [three, 'c4'] as const,
  ])
    await prompt.act(host, `ip netns add ${name}`, () => host.container(name));
  await prompt.overlayd(one, 'network', 'connect', '--name', 'api', '--alias', 'backend', 'web', 'netns:c1');
  await prompt.overlayd(two, 'network', 'connect', '--name', 'shop', '--alias', 'backend', 'web', 'netns:c2');
  await prompt.overlayd(three, 'network', 'connect', '--name', 'worker', 'web', 'netns:c3');
  await prompt.overlayd(three, 'network', 'connect', '--name', 'store', 'db', 'netns:c4');
  await prompt.overlayd(one, 'endpoint', 'ls');

  narrator.chapter('They find each other by name, across hosts');
  await narrator.check('every host has heard of every name', async () => {
    await until('backend to be two addresses', async () => {
      const { stdout } = await three.exec('c3', ['getent', 'ahostsv4', 'backend']);
      return new Set(stdout.match(/^[\d.]+/gm)).size === 2;
    });
  });
  await prompt.inNamespace(two, 'c2', ping('api'));
  await prompt.inNamespace(three, 'c3', ping('shop.web'));
  await prompt.inNamespace(three, 'c3', ['getent', 'ahostsv4', 'backend']);
  if (family === 6) {
    await prompt.inNamespace(two, 'c2', ping('api', '-4'));
    await prompt.inNamespace(three, 'c3', ['getent', 'ahostsv6', 'backend']);
    await prompt.run(two, ['bridge', '-n', 'ovl-4096', 'fdb', 'show', 'dev', 'vx0']);
  }

  narrator.chapter('Networks do not see each other');
  await prompt.inNamespace(three, 'c4', ping('api'), true);
  const address = (await one.json('endpoint', 'inspect', 'api'))[0].IPv4Address.split('/')[0];
  await prompt.inNamespace(three, 'c4', ['ping', '-c', '1', '-W', '1', address], true);

  narrator.chapter('The way out goes through each container’s own host');
  await prompt.inNamespace(two, 'c2', ping('www.example'));
  await prompt.inNamespace(three, 'c4', ping(OUTSIDE[family]));

  narrator.chapter('The agent is not in the way of traffic');
  await prompt.act(one, 'kill -9 $(pgrep -f agent.cjs)', () => one.agent.kill());
  await prompt.inNamespace(two, 'c2', ping('api'));
  await prompt.act(one, 'overlayd agent', () => one.agent.start());
  await narrator.check('everybody is well again', () => untilReady(lab.hosts));
  await prompt.overlayd(one, 'status');
}

async function clear({ lab, narrator, prompt }: Stage): Promise<void> {
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  narrator.chapter('And away again');
  await prompt.overlayd(two, 'network', 'disconnect', 'web', 'netns:c2');
  await narrator.check('shop is unknown', () =>
    until('the name to go', async () => (await three.exec('c3', ['getent', 'ahostsv4', 'shop'])).code !== 0),
  );
  await prompt.overlayd(one, 'network', 'disconnect', 'web', 'netns:c1');
  await prompt.overlayd(three, 'network', 'disconnect', 'web', 'netns:c3');
  await prompt.overlayd(three, 'network', 'disconnect', 'db', 'netns:c4');
  await prompt.overlayd(one, 'network', 'rm', 'web', 'db');
}

export const namespaces = (family: Family): Story => ({
  play: (stage) => play(stage, family),
  clear,
  hints: [
    'overlayd network inspect web',
    'ip netns exec c3 ping shop                  (on h3; containers: c1 on h1, c2 on h2, c3 and c4 on h3)',
    'ip netns add c9 && overlayd network connect --name mine web netns:c9',
  ],
});
