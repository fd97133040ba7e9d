import { describe, expect, test } from 'vitest';
import { stopwatch, tell } from '../lab/measuring.ts';
import { attach } from '../lab/network.ts';
import type { Outcome } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

describe('two hosts want the same thing at once', () => {
  const lab = useLab({ hosts: 3, cluster: true });
  const winners = (answers: readonly Outcome[]) => answers.filter(({ code }) => code === 0);
  const losers = (answers: readonly Outcome[]) => answers.filter(({ code }) => code !== 0);

  test('a name: exactly one gets it', async () => {
    for (let round = 0; round < 4; round++) {
      const name = `race${round}`;
      const answers = await Promise.all(lab().hosts.map((host) => host.overlayd('network', 'create', name)));
      expect(winners(answers)).toHaveLength(1);
      for (const { stderr } of losers(answers)) expect(stderr).toMatch(/network with name race\d already exists/);
    }
    expect(await lab().host(1).json('network', 'ls')).toHaveLength(4);
  });

  test('a subnet, and overlapping ones: exactly one gets it', async () => {
    const wanted = ['10.50.0.0/24', '10.50.0.0/16', '10.50.0.128/25'];
    const answers = await Promise.all(
      lab().hosts.map((host, index) =>
        host.overlayd('network', 'create', '--subnet', wanted[index]!, `net-${host.name}`),
      ),
    );
    expect(winners(answers)).toHaveLength(1);
    for (const { stderr } of losers(answers)) expect(stderr).toMatch(/pool overlaps with other one/);
  });

  test('no subnet in particular: each gets one of its own', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await Promise.all(
      names.map((name, index) =>
        lab()
          .host((index % 3) + 1)
          .mustOverlayd('network', 'create', name),
      ),
    );
    const networks = await lab().host(1).json('network', 'ls');
    const subnets = networks.flatMap((row: { Subnets: string[] }) => row.Subnets);
    const vnis = networks.map((row: { Vni: number }) => row.Vni);
    expect([new Set(subnets).size, new Set(vnis).size]).toEqual([networks.length, networks.length]);
  });

  test('an address: exactly one gets it', async () => {
    await lab().host(1).mustOverlayd('network', 'create', '--subnet', '10.60.0.0/24', 'office');
    for (const host of lab().hosts) await host.container('c1');
    const answers = await Promise.all(
      lab().hosts.map((host) =>
        host.overlayd('network', 'connect', '--name', host.name, '--ip', '10.60.0.7', 'office', 'netns:c1'),
      ),
    );
    expect(winners(answers)).toHaveLength(1);
    for (const { stderr } of losers(answers)) expect(stderr).toMatch(/address already in use: 10\.60\.0\.7/);
    for (const [index, host] of lab().hosts.entries()) {
      const links = await host.mustExec('c1', ['ip', '-o', 'link']);
      expect(/eth0/.test(links)).toBe(answers[index]!.code === 0);
    }
  });

  test('many containers: every one gets an address of its own', async () => {
    await lab().host(1).mustOverlayd('network', 'create', 'many');
    const addresses = await Promise.all(
      lab().hosts.flatMap((host) => Array.from({ length: 6 }, (_, index) => attach(host, `m${index}`, 'many'))),
    );
    expect(new Set(addresses).size).toBe(18);
  });

  test('a full network refuses with the counts, and takes the next one when somebody leaves', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await one.mustOverlayd('network', 'create', '--subnet', '10.70.0.0/29', 'tiny');
    for (let index = 0; index < 5; index++) await attach(index % 2 === 0 ? one : two, `t${index}`, 'tiny');
    const last = await two.container('t5');
    const asked = stopwatch();
    const answer = await two.overlayd('network', 'connect', 'tiny', last);
    tell({ scenario: 'network-full', ms: asked() });
    expect(answer.code).toBe(1);
    expect(answer.stderr).toMatch(/no available IPv4 addresses on network tiny .*: 5 used, 0 free, 0 quarantined/);
    expect(await two.mustExec('t5', ['ip', '-o', 'link'])).not.toMatch(/eth0/);
    await one.mustOverlayd('network', 'disconnect', 'tiny', 'netns:t0');
    await until('the address to be given again', async () => {
      return (await two.overlayd('network', 'connect', 'tiny', last)).code === 0;
    });
  });
});
