/** The way out of containers and their published ports, on hosts with either iptables. */
import { describe, expect, test } from 'vitest';
import { pings, runContainer, startEngines, untilOffered, untilPings } from '../../lab/docker-network.ts';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { INTERNET } from '../../lab/internet.ts';
import { fetchPage } from '../../lab/page.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async (made) => {
    await chooseIptables(made.host(1), 'nft');
    await chooseIptables(made.host(2), 'legacy');
    await startEngines(made.hosts);
    await made.host(1).mustOverlayd('network', 'create', 'web');
    await Promise.all(made.hosts.map((host) => untilOffered(host, ['web'])));
  },
});

/** As `update-alternatives` does, on that host alone. */
async function chooseIptables(host: Host, kind: 'nft' | 'legacy'): Promise<void> {
  for (const family of ['iptables', 'ip6tables']) {
    for (const suffix of ['', '-save', '-restore']) {
      const program = `/usr/sbin/${family}-${kind}${suffix}`;
      await host.must(['ln', '-sfn', program, `/etc/alternatives/${family}${suffix}`]);
    }
  }
}

describe.each([
  ['nft', 1],
  ['legacy', 2],
] as const)('iptables-%s', (kind, number) => {
  test('the way out and published ports are there, and come back after the chain was emptied', async () => {
    const host = lab().host(number);
    const other = lab().host(3 - number);
    expect(await host.must(['iptables', '-V'])).toContain(kind === 'nft' ? 'nf_tables' : 'legacy');
    await runContainer(host, 'plain', '--network', 'web');
    await host.engine.mustDocker(
      'run',
      '-d',
      '--name',
      'server',
      '--network',
      'web',
      '-p',
      '8080:80',
      IMAGE,
      'httpd',
      '-f',
      '-p',
      '80',
    );
    await untilPings(host, 'plain', INTERNET);
    const fetch = async () => (await fetchPage(other, `http://${host.address}:8080/etc/hostname`)) !== undefined;
    await until('the published port', fetch);

    for (let round = 0; round < 3; round++) {
      await host.must(['iptables', '-F', 'DOCKER-USER']);
      await untilPings(host, 'plain', INTERNET);
      expect(await host.must(['iptables', '-S', 'DOCKER-USER'])).toContain('OVERLAYD-FORWARD');
    }
    expect(await fetch()).toBe(true);
    expect(await pings(host, 'plain', INTERNET)).toBe(true);
  });
});
