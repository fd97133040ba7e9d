/** Scenarios of `docs/faults.md` on three hosts whose etcd is away, half open, full, or later than everything else. */
import { expect, test } from 'vitest';
import { formLabCluster, untilReady } from '../../lab/cluster.ts';
import { EtcdServer } from '../../lab/etcd.ts';
import type { Host } from '../../lab/host.ts';
import type { Lab } from '../../lab/lab.ts';
import { IS_LONG, stopwatch, tell } from '../../lab/measuring.ts';
import { attach, untilReaches, untilResolves } from '../../lab/network.ts';
import { observeKernel } from '../../lab/observation.ts';
import { startPinging } from '../../lab/pinging.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

/** Long enough that everything has run out that could. */
const AWAY_MS = 180_000;

let etcd: EtcdServer;
let addresses: readonly string[];
const lab = useLab({
  hosts: 3,
  prepare: async (made: Lab) => {
    etcd = await EtcdServer.start(await made.addHost('store', 9));
    await formLabCluster(made, etcd.initArguments);
    await made.host(1).mustOverlayd('network', 'create', 'web');
    addresses = await Promise.all(
      made.hosts.map((host) => attach(host, `c-${host.name}`, 'web', '--name', `c-${host.name}`)),
    );
    for (const host of made.hosts) await untilReaches(host, `c-${host.name}`, 'c-h1');
  },
});
const isReachable = async (host: Host): Promise<boolean> => (await host.json('status')).Store.Reachable;

/** Traffic and names between the second and the third. */
async function startTraffic() {
  const [, two, three] = lab().hosts as [Host, Host, Host];
  const ping = await startPinging(two, 'c-h2', addresses[2]!);
  return async (scenario: string) => {
    await untilResolves(three, 'c-h3', 'c-h2', [addresses[1]!]);
    const packets = ping.replies();
    const lost = await ping.end();
    tell({ scenario, packets, lost: lost.length });
    expect(lost).toEqual([]);
  };
}

test.each([
  ['does not answer', 'freeze', 'thaw'],
  ['is gone', 'kill', 'start'],
] as const)(
  'while etcd %s everything goes on, what is new is refused, and it is whole when etcd is',
  async (...[, away, back]) => {
    const [one, two] = lab().hosts as [Host, Host];
    const endTraffic = await startTraffic();
    const kernel = await observeKernel(two);
    const gone = stopwatch();
    await etcd[away]();
    await until('the agents to notice', async () =>
      (await Promise.all(lab().hosts.map(isReachable))).every((is) => !is),
    );
    await untilResolves(two, 'c-h2', 'c-h3', [addresses[2]!]);
    if (IS_LONG) await until('time to pass', () => gone() > AWAY_MS, 2 * AWAY_MS);
    const container = await one.container(`late-${away}`);
    const asked = stopwatch();
    const refused = await one.overlayd('network', 'connect', '--name', 'late', 'web', container);
    tell({ scenario: 'etcd-away', what: 'refusal', ms: asked() });
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('etcd')]);
    expect(await observeKernel(two)).toBe(kernel);
    await etcd[back]();
    const there = stopwatch();
    let address = '';
    await until('a connect to be done', async () => {
      const { code, stdout } = await one.overlayd('network', 'connect', '--name', 'late', 'web', container);
      address = stdout.trim();
      return code === 0;
    });
    tell({ scenario: 'etcd-away', what: 'back', ms: there() });
    await untilReady(lab().hosts);
    await untilResolves(two, 'c-h2', 'late', [address]);
    await one.mustOverlayd('network', 'disconnect', 'web', container);
    await endTraffic('etcd-away');
  },
);

test('a connection to etcd that is half open is noticed, and left as soon as there is a way again', async () => {
  const two = lab().host(2);
  const chain = (hook: string) =>
    `chain ${hook} {\ntype filter hook ${hook} priority -300\ntcp dport 2379 drop\ntcp sport 2379 drop\n}`;
  const endTraffic = await startTraffic();
  const before = await lab().host(3).json('endpoint', 'ls');
  await two.must(['nft', `table inet half {\n${chain('input')}\n${chain('output')}\n}`]);
  const cut = stopwatch();
  await until('it to be noticed', async () => !(await isReachable(two)));
  tell({ scenario: 'half-open', what: 'noticed', ms: cut() });
  expect(await lab().host(3).json('endpoint', 'ls')).toEqual(before);
  await two.must(['nft', 'delete', 'table', 'inet', 'half']);
  const healed = stopwatch();
  await until('it to be mended', () => isReachable(two));
  tell({ scenario: 'half-open', what: 'mended', ms: healed() });
  await untilReady(lab().hosts);
  await endTraffic('half-open');
});

test('a host that starts before etcd does has all of its part as soon as etcd is there', async () => {
  const [one, two] = lab().hosts as [Host, Host];
  await etcd.kill();
  await two.powerOff();
  await two.powerOn();
  const started = stopwatch();
  await two.agent.start();
  await until('it to wait for etcd', async () => /etcd/.test((await two.json('status')).Problems.join()));
  if (IS_LONG) await until('time to pass', () => started() > 60_000);
  await etcd.start();
  const there = stopwatch();
  await untilReady(lab().hosts);
  // Its containers ended with it; others may come.
  const address = await attach(two, 'c-h2', 'web', '--name', 'c-h2');
  await untilResolves(one, 'c-h1', 'c-h2', [address]);
  tell({ scenario: 'reboot-before-etcd', ms: there() });
  addresses = addresses.map((each, at) => (at === 1 ? address : each));
  await untilReaches(one, 'c-h1', 'c-h2');
});
