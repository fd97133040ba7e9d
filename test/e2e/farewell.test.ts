/** An agent that is ended in order says so: names stay while it is away. One that is killed, or whose host goes, cannot. */
import { expect, test } from 'vitest';
import { startAsking } from '../lab/asking.ts';
import { untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { stopwatch, tell } from '../lab/measuring.ts';
import { attach, resolve, untilReaches } from '../lab/network.ts';
import { type Pinging, startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

/** More than twice as long as one that says nothing is waited for. */
const AWAY_MS = 15_000;

const addresses = new Map<string, string>();
const lab = useLab({
  hosts: 3,
  cluster: true,
  prepare: async ({ hosts }) => {
    await hosts[0]!.mustOverlayd('network', 'create', 'web');
    for (const host of hosts) addresses.set(host.name, await attach(host, 'c', 'web', '--name', `c-${host.name}`));
    for (const host of hosts.slice(0, 2)) await untilReaches(host, 'c', 'c-h3');
  },
});
const hosts = () => lab().hosts as [Host, Host, Host];

/** What the other two say of the third, and of its container. */
async function saidOfThird(): Promise<readonly string[]> {
  const said = hosts()
    .slice(0, 2)
    .map(async (host) => {
      const rows: { Name: string; State: string }[] = await host.json('node', 'ls');
      return rows.find(({ Name }) => Name === 'h3')!.State;
    });
  return [...new Set(await Promise.all(said))];
}

const untilSaid = (state: string) =>
  until(`both to say that it is ${state}`, async () => (await saidOfThird()).join() === state);

const untilHidden = () =>
  Promise.all(
    hosts()
      .slice(0, 2)
      .map((host) =>
        until('its name to be hidden', async () => (await resolve(host, 'c', 'c-h3')).values.length === 0),
      ),
  );

test('ended in order it is awaited: for longer than any silence is, no name is hidden and no packet lost', async () => {
  const [one, two, three] = hosts();
  const gateway = addresses.get('h1')!.replace(/\d+$/, '1');
  const ends = await Promise.all(
    [one, two].map((host) => startAsking(host, 'c', ['c-h3', 'c-h3.web'], { gateway, least: 1_000, perSecond: 50 })),
  );
  const ping: Pinging = await startPinging(one, 'c', addresses.get('h3')!);
  expect(await three.agent.stop()).toBe(0);
  const away = stopwatch();
  await untilSaid('restarting');
  await until('time to pass', () => away() >= AWAY_MS);
  expect(await saidOfThird()).toEqual(['restarting']);
  const peers: { Name: string; State: string }[] = (await one.json('status')).Peers;
  expect(peers.find(({ Name }) => Name === 'h3')).toMatchObject({ State: 'restarting' });
  await three.agent.start();
  await untilReady(hosts());
  await untilSaid('ready');
  const reports = await Promise.all(ends.map((end) => end()));
  const packets = ping.replies();
  const lost = await ping.end();
  for (const { asked, lost, wrong } of reports) {
    tell({ scenario: 'agent-stopped', packets: asked, lost: lost.length + wrong.length });
    expect({ lost, wrong }).toEqual({ lost: [], wrong: [] });
  }
  tell({ scenario: 'agent-stopped', packets, lost: lost.length });
  expect(lost).toEqual([]);
  const events: { Type: string }[] = await one.json('events', '--local', '--filter', 'type=member-restarting');
  expect(events.length).toBeGreaterThan(0);
});

test('stopped for good it is not awaited: names end as of one that is killed', async () => {
  const [one, , three] = hosts();
  const farewells = async () =>
    (await one.json('events', '--local', '--filter', 'type=member-restarting')) as readonly object[];
  const before = (await farewells()).length;
  await three.must(['touch', '/run/overlayd/last-stop']);
  expect(await three.agent.stop()).toBe(0);
  await untilHidden();
  expect(await farewells()).toHaveLength(before);
  await three.agent.start();
  await untilReady(hosts());
  await untilSaid('ready');
});

test('killed it is suspected as ever', async () => {
  const [, , three] = hosts();
  await three.agent.kill();
  await untilHidden();
  expect(await saidOfThird()).not.toContain('restarting');
  await three.agent.start();
  await untilReady(hosts());
});

test('where its host goes as well, its names go before its time is over', async () => {
  const [one, two, three] = hosts();
  // It was killed before.
  for (const host of [one, two]) await untilReaches(host, 'c', 'c-h3');
  await three.agent.stop();
  const ended = stopwatch();
  await untilSaid('restarting');
  await three.powerOff();
  await untilHidden();
  tell({ scenario: 'host-off', what: 'after a farewell', ms: ended() });
  await until('nobody to wait for it', async () => !(await saidOfThird()).includes('restarting'));
});
