import { describe, expect, test } from 'vitest';
import { untilMade, untilReady, untilUnmade } from '../lab/cluster.ts';
import { etcdPid } from '../lab/etcd.ts';
import type { Host } from '../lab/host.ts';
import { IS_LONG, stopwatch, tell } from '../lab/measuring.ts';
import { attach, reaches, resolve, untilReaches, untilResolves } from '../lab/network.ts';
import { observeKernel, overlayNamespaces } from '../lab/observation.ts';
import { startPinging } from '../lab/pinging.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

describe('faults on five hosts', () => {
  const address = new Map<string, string>();
  const lab = useLab({
    hosts: 5,
    cluster: true,
    prepare: async (made) => {
      await made.host(1).mustOverlayd('network', 'create', '--subnet', '10.10.0.0/24', 'web');
      for (const host of made.hosts) {
        const name = `c-${host.name}`;
        address.set(host.name, await attach(host, name, 'web', '--name', name, '--alias', 'all'));
      }
      for (const host of made.hosts) {
        await untilResolves(host, `c-${host.name}`, 'all', [...address.values()]);
        for (const peer of made.hosts) await untilReaches(host, `c-${host.name}`, `c-${peer.name}`);
      }
    },
  });
  const all = () => [...address.values()];

  test('the agents are killed and started again under traffic: no packet lost, no row changed, names back', async () => {
    const [two, three] = [lab().host(2), lab().host(3)];
    const pings = [
      await startPinging(two, 'c-h2', address.get('h3')!, IS_LONG ? 0.001 : undefined),
      await startPinging(three, 'c-h3', '198.51.100.1'),
    ];
    const before = [await observeKernel(two), await observeKernel(three)];
    for (const host of [two, three]) await host.agent.kill();
    for (const ping of pings) {
      const count = ping.replies();
      await until('traffic to go on without agents', () => ping.replies() > count + 50);
    }
    for (const host of [two, three]) await host.agent.start();
    await untilReady(lab().hosts);
    // A change elsewhere makes them look again, whatever they have done by now.
    const reconcile = async (host: Host) => (await host.json('status')).Reconcile;
    const passes = [(await reconcile(two)).Passes, (await reconcile(three)).Passes];
    await attach(lab().host(1), 'witness', 'web');
    for (const [index, host] of [two, three].entries()) {
      await until('another reconciliation', async () => (await reconcile(host)).Passes > passes[index]!);
    }
    await lab().host(1).mustOverlayd('network', 'disconnect', 'web', 'netns:witness');
    for (const ping of pings) {
      const packets = ping.replies();
      const lost = await ping.end();
      tell({ scenario: 'agent-killed', packets, lost: lost.length });
      expect(lost).toEqual([]);
    }
    await expect.poll(() => Promise.all([observeKernel(two), observeKernel(three)])).toEqual(before);
    for (const host of [two, three]) expect((await reconcile(host)).Repairs).toBe(0);
    await untilResolves(two, 'c-h2', 'all', all());
    await untilReaches(three, 'c-h3', 'c-h2');
  });

  test('the bundled etcd survives its agent’s end and is taken over by the next one', async () => {
    const one = lab().host(1);
    const pid = await etcdPid(one);
    await one.agent.kill();
    expect(await etcdPid(one)).toBe(pid);
    await lab().host(2).mustOverlayd('network', 'create', 'while-one-is-away');
    await one.agent.start();
    await untilReady(lab().hosts);
    expect(await etcdPid(one)).toBe(pid);
    await one.mustOverlayd('network', 'rm', 'while-one-is-away');
  });

  test('etcd is killed: traffic and names go on, it is started again, and changes work again', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    const pid = await etcdPid(one);
    await one.must(['kill', '-9', pid]);
    expect(await reaches(two, 'c-h2', 'c-h4')).toBe(true);
    await until('another etcd', async () => {
      const now = await etcdPid(one);
      return now !== '' && now !== pid;
    });
    await untilReady(lab().hosts);
    await untilMade(two, 'after-etcd');
    await two.mustOverlayd('network', 'rm', 'after-etcd');
  });

  test('a container’s namespace is deleted: its name and address are released everywhere', async () => {
    const [four, five] = [lab().host(4), lab().host(5)];
    const given = await attach(four, 'mortal', 'web', '--name', 'mortal');
    await untilResolves(five, 'c-h5', 'mortal', [given]);
    await four.deleteContainer('mortal');
    const gone = stopwatch();
    await Promise.all(lab().hosts.map((host) => untilResolves(host, `c-${host.name}`, 'mortal', [])));
    tell({ scenario: 'container-killed', ms: gone() });
    await until('it to be off the list', async () => {
      const rows: { Name: string }[] = await five.json('endpoint', 'ls');
      return rows.every(({ Name }) => Name !== 'mortal');
    });
    await until('its port to be gone', async () => (await four.json('status')).LocalEndpoints === 1);
  });

  test('a host is cut off: its names are hidden elsewhere, its own go on, all are back after the heal', async () => {
    const five = lab().host(5);
    const others = lab().hosts.slice(0, 4);
    await lab().partition([five], [...others, lab().internet]);
    const rest = all().filter((value) => value !== address.get('h5'));
    for (const host of others) await untilResolves(host, `c-${host.name}`, 'all', rest);
    expect((await lab().host(1).json('node', 'inspect', 'h5'))[0].State).not.toBe('ready');
    const rows = await lab().host(1).json('endpoint', 'ls');
    expect(rows.find((row: { Name: string }) => row.Name === 'c-h5')).toMatchObject({ State: 'hidden' });
    expect((await resolve(five, 'c-h5', 'c-h5')).values).toEqual([address.get('h5')]);
    const claim = await five.overlayd('network', 'create', 'minority');
    expect([claim.code, claim.stderr]).toEqual([1, expect.stringMatching(/etcd/)]);
    await lab().heal();
    for (const host of lab().hosts) await untilResolves(host, `c-${host.name}`, 'all', all());
    await untilReady(lab().hosts);
    await untilReaches(five, 'c-h5', 'c-h1');
  });

  test('a host’s firewall drops gossip alone: its own status says so, names are hidden elsewhere and come back', async () => {
    const [one, five] = [lab().host(1), lab().host(5)];
    const chain = (hook: string) =>
      `chain ${hook} {\ntype filter hook ${hook} priority -300\ntcp dport 7946 drop\ntcp sport 7946 drop\n}`;
    await five.must(['nft', `table inet closed {\n${chain('input')}\n${chain('output')}\n}`]);
    const problems = async () => ((await five.json('status')).Problems as readonly string[]).join('\n');
    await until('it to say that it hears nobody', async () =>
      /hears no other member.*7946\/tcp/.test(await problems()),
    );
    await untilResolves(one, 'c-h1', 'c-h5', []);
    await five.must(['nft', 'delete', 'table', 'inet', 'closed']);
    await until('it to be well', async () => (await problems()) === '');
    await untilResolves(one, 'c-h1', 'c-h5', [address.get('h5')!]);
    await untilReady(lab().hosts);
  });

  test('what somebody removed by hand is put back and counted', async () => {
    const host = lab().host(3);
    const [namespace] = await overlayNamespaces(host);
    const inside = (...argv: readonly string[]) => host.must(['ip', 'netns', 'exec', namespace!, ...argv]);
    const before = await observeKernel(host);
    const row = (await inside('bridge', 'fdb', 'show', 'dev', 'vx0')).split('\n').find((line) => line.includes('dst'))!;
    const mac = row.split(' ')[0]!;
    const vtep = /dst (\S+)/.exec(row)![1]!;
    const port = (await inside('ip', '-o', 'link', 'show', 'master', 'br0', 'type', 'veth')).split(/[:@]/)[1]!.trim();
    const drifts: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['an FDB row', () => inside('bridge', 'fdb', 'del', mac, 'dev', 'vx0', 'dst', vtep, 'self')],
      ['a neighbour', () => inside('ip', 'neigh', 'del', address.get('h1')!, 'dev', 'vx0')],
      ['a port off its bridge', () => inside('ip', 'link', 'set', port, 'nomaster')],
      ['a link that is down', () => inside('ip', 'link', 'set', 'br0', 'down')],
      ['the firewall table', () => host.must(['nft', 'delete', 'table', 'inet', 'overlayd'])],
      ['the VXLAN device', () => inside('ip', 'link', 'del', 'vx0')],
      ['the port', () => inside('ip', 'link', 'del', port)],
      ['the whole namespace', () => host.must(['ip', 'netns', 'del', namespace!])],
    ];
    for (const [what, damage] of drifts) {
      const { Repairs } = (await host.json('status')).Reconcile;
      await damage();
      const damaged = stopwatch();
      await until(`${what} to be put back`, async () => {
        expect(await observeKernel(host)).toBe(before);
        return true;
      });
      tell({ scenario: 'drift', ms: damaged() });
      await until('it to be counted', async () => (await host.json('status')).Reconcile.Repairs > Repairs);
    }
    for (const peer of lab().hosts) await untilReaches(host, 'c-h3', `c-${peer.name}`);
  });

  test('a host loses power with its containers: it comes back as a member, without them, and nothing is leaked', async () => {
    const four = lab().host(4);
    await four.powerOff();
    const rest = all().filter((value) => value !== address.get('h4'));
    for (const host of lab().hosts) if (host.isOn) await untilResolves(host, `c-${host.name}`, 'all', rest);
    await four.powerOn();
    await four.agent.start();
    await untilReady(lab().hosts);
    expect(await overlayNamespaces(four)).toEqual([]);
    await until('the claims of the lost containers to be released', async () => {
      const rows = await lab().host(1).json('endpoint', 'ls');
      return rows.length === 4;
    });
    await attach(four, 'c-h4', 'web', '--name', 'c-h4', '--alias', 'all');
    for (const host of lab().hosts) await untilReaches(host, `c-${host.name}`, 'c-h4');
  });

  test('the cluster’s first host loses power: the others serve on, and all is whole when it is back', async () => {
    const one = lab().host(1);
    await one.powerOff();
    await untilReaches(lab().host(2), 'c-h2', 'c-h3');
    await one.powerOn();
    await one.agent.start();
    await untilReady(lab().hosts);
    await attach(one, 'c-h1', 'web', '--name', 'c-h1', '--alias', 'all');
    for (const host of lab().hosts) await untilReaches(host, `c-${host.name}`, 'c-h1');
  });

  test('after the last disconnect nothing is left on any host', async () => {
    for (const host of lab().hosts) await host.mustOverlayd('network', 'disconnect', 'web', `netns:c-${host.name}`);
    // One that has yet to find etcd again releases its claim when it has.
    await untilUnmade(lab().host(5), 'web');
    for (const host of lab().hosts) {
      await until(`${host.name} to be clean`, async () => (await overlayNamespaces(host)).length === 0);
      expect(await host.must(['ip', '-o', 'link'])).not.toMatch(/ovl|vx0/);
    }
  });
});
