/** What passes between the hosts, of a plain network and of an encrypted one: the same words, looked for in a capture. */
import { untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { makeCluster } from './cluster.ts';
import type { Stage, Story } from './story.ts';

/** As many as `ping` fills its packets with, at most. */
const WORDS = 'open sesame, now';
const PATTERN = Buffer.from(WORDS).toString('hex');
const PINGS = 5;

async function play(stage: Stage): Promise<void> {
  const { lab, narrator, prompt } = stage;
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  await makeCluster(stage);
  await prompt.overlayd(one, 'network', 'create', 'plain');
  await narrator.check('every host has WireGuard', () =>
    until('their offers', async () => {
      const nodes: { Wireguard: { Backend: string } }[] = await one.json('node', 'ls');
      return nodes.length === 3 && nodes.every(({ Wireguard }) => Wireguard.Backend !== '');
    }),
  );

  narrator.chapter('Two networks between the same hosts: one in clear, one through WireGuard');
  await prompt.overlayd(three, 'network', 'create', '-o', 'encrypted', 'secret');
  await prompt.overlayd(two, 'network', 'ls');
  for (const [host, name] of [[one, 'c1'] as const, [two, 'c2'] as const]) {
    await prompt.act(host, `ip netns add ${name}`, () => host.container(name));
    await prompt.overlayd(host, 'network', 'connect', 'plain', `netns:${name}`);
    await prompt.overlayd(host, 'network', 'connect', 'secret', `netns:${name}`);
  }
  await narrator.check('c1 knows c2 on both', () =>
    until('the names', async () => {
      const asked = ['c2.plain', 'c2.secret'].map((name) => one.exec('c1', ['ping', '-c', '1', '-W', '1', name]));
      return (await Promise.all(asked)).every(({ code }) => code === 0);
    }),
  );

  narrator.chapter(`c1 says "${WORDS}" to c2, and somebody on the way listens`);
  await overhear(stage, 'plain', true);
  await overhear(stage, 'secret', false);
  await prompt.overlayd(one, 'status');
  await narrator.check('everybody is well', () => untilReady(lab.hosts));
}

/** Whether the words are in what the underlay carried, while they were said on that network. */
async function overhear({ lab, narrator, prompt }: Stage, network: string, isHeard: boolean): Promise<void> {
  const [one, two] = [lab.host(1), lab.host(2)];
  const file = `/run/${network}.pcap`;
  const listener = two.spawn(['tcpdump', '-i', 'eth0', '-U', '-w', file, 'udp']);
  await narrator.check('tcpdump listens on eth0 of h2', () =>
    until('tcpdump to listen', () => listener.output.includes('listening on')),
  );
  await prompt.inNamespace(one, 'c1', ['ping', '-c', String(PINGS), '-i', '0.2', '-p', PATTERN, `c2.${network}`]);
  await narrator.check('all of it is in the file', () =>
    // Both ways.
    until('the packets', async () => (await packets(two, file)) >= 2 * PINGS),
  );
  await listener.kill('SIGINT');
  await listener.exited;
  await prompt.run(two, ['tcpdump', '-n', '-c', '3', '-r', file]);
  const count = await prompt.run(
    two,
    ['sh', '-c', `tcpdump -A -r ${file} 2>/dev/null | grep -c '${WORDS}' || true`],
    ['sh', '-c', `"tcpdump -A -r ${file} | grep -c '${WORDS}'"`],
  );
  if (Number(count) > 0 === isHeard) return;
  throw new Error(`the words were ${isHeard ? 'not ' : ''}in clear on network ${network}: ${count} lines have them`);
}

async function packets(host: Host, file: string): Promise<number> {
  const { stdout } = await host.run(['tcpdump', '-n', '-r', file]);
  // One line each begins with the time; of VXLAN another one says what is inside.
  return stdout.match(/^\d\d:/gm)?.length ?? 0;
}

async function clear({ lab, narrator, prompt }: Stage): Promise<void> {
  const [one, two] = [lab.host(1), lab.host(2)];
  narrator.chapter('And away again');
  for (const [host, name] of [[one, 'c1'] as const, [two, 'c2'] as const]) {
    await prompt.overlayd(host, 'network', 'disconnect', 'plain', `netns:${name}`);
    await prompt.overlayd(host, 'network', 'disconnect', 'secret', `netns:${name}`);
  }
  await prompt.overlayd(one, 'network', 'rm', 'plain', 'secret');
}

export const capture: Story = {
  play,
  clear,
  hints: [
    'tcpdump -A -n -i eth0 udp port 51840        (what passes of network secret)',
    'ip netns exec c1 ping c2.secret             (on h1)',
    'ip -n ovl-wg link',
  ],
};
