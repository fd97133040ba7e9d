import { describe, expect, test } from 'vitest';
import { untilFlawless } from '../lab/cluster.ts';
import { call, startEchoing } from '../lab/echoing.ts';
import { attach } from '../lab/network.ts';
import { useLab } from '../lab/use-lab.ts';

describe('published ports', () => {
  let api: string;
  const lab = useLab({
    hosts: 2,
    cluster: true,
    prepare: async (made) => {
      const one = made.host(1);
      await one.mustOverlayd('network', 'create', 'web');
      await one.mustOverlayd('network', 'create', '--internal', 'vault');
      api = await attach(one, 'api', 'web', '--alias', 'backend');
      await attach(one, 'other', 'web');
      await attach(made.host(2), 'far', 'web');
      await attach(one, 'safe', 'vault');
      await startEchoing(one, 'api', 80);
    },
  });
  const one = () => lab().host(1);
  const two = () => lab().host(2);
  const rows = async () =>
    (await one().json('publish', 'ls')).map((row: { HostPort: number; Protocol: string; Addresses: string[] }) => [
      row.HostPort,
      row.Protocol,
      row.Addresses,
    ]);

  test('lead to the container, which sees who calls', async () => {
    expect(await one().mustOverlayd('publish', '8080:web/api:80')).toBe('8080/tcp -> web/api:80');
    expect(await call(two(), 'tcp', one().address, 8080)).toBe(two().address);
    expect(await call(two(), 'udp', one().address, 8080)).toBeUndefined();
    await one().mustOverlayd('publish', `${one().address}:8080:web/backend:80/udp`);
    expect(await call(two(), 'udp', one().address, 8080)).toBe(two().address);
    expect(await rows()).toEqual([
      [8080, 'tcp', [api]],
      [8080, 'udp', [api]],
    ]);
  });

  test('lead there from the host itself, and from containers of the same network by way of the host', async () => {
    expect(await call(one(), 'tcp', one().address, 8080)).toBe(one().address);
    expect(await call(one(), 'tcp', one().address, 8080, 'other')).toBeDefined();
    expect(await call(one(), 'udp', one().address, 8080, 'other')).toBeDefined();
    expect(await call(one(), 'tcp', one().address, 8080, 'api')).toBeDefined();
    // From another host's container, which comes with that host's address.
    expect(await call(two(), 'tcp', one().address, 8080, 'far')).toBe(two().address);
  });

  test('are refused where somebody has them, who is named, and where no container could answer', async () => {
    for (const [asked, why, exit = 1] of [
      [
        '8080:web/other:80',
        /8080\/tcp of this host is published for web\/api already \(overlayd publish rm 8080\/tcp\)/,
      ],
      [`${one().address}:8080:web/other:80`, /published for web\/api already/],
      ['7946:web/api:80', /7946\/tcp of this host cannot be published: .* \(pid \d+\) has it/],
      ['192.0.2.77:80:web/api:80', /192\.0\.2\.77:80\/tcp of this host cannot be published/],
      ['81:web/far:80', /far of network web runs on h2: .*run the command there/],
      ['81:vault/safe:80', /network vault is internal/],
      ['81:nowhere/api:80', /nowhere/],
      ['81:web:80', /is not \[IP:\]PORT:NETWORK\/NAME:PORT/, 2],
      ['81:web/api:80/icmp', /the protocol is tcp, udp, sctp/, 2],
      ['81:web/api:80000', /ports from 1 to 65535/, 2],
    ] as const) {
      const { code, stderr } = await one().overlayd('publish', asked);
      expect([asked, code, stderr]).toEqual([asked, exit, expect.stringMatching(why)]);
    }
    expect(await rows()).toHaveLength(2);
  });

  test('stay over the agent’s restart, and for the next container of the name', async () => {
    await one().agent.stop();
    expect(await call(two(), 'tcp', one().address, 8080)).toBe(two().address);
    await one().agent.start();
    await untilFlawless(one());
    expect(await call(two(), 'tcp', one().address, 8080)).toBe(two().address);
    await one().mustOverlayd('network', 'disconnect', 'web', 'netns:api');
    expect(await call(two(), 'tcp', one().address, 8080)).toBeUndefined();
    const waiting = (await one().json('publish', 'ls')).map((row: { WaitsFor: string }) => row.WaitsFor);
    expect(waiting[0]).toMatch(/no container on this host goes by api/);
    await attach(one(), 'next', 'web', '--name', 'api', '--alias', 'backend');
    await startEchoing(one(), 'next', 80);
    expect(await call(two(), 'tcp', one().address, 8080)).toBe(two().address);
    expect(await call(two(), 'udp', one().address, 8080)).toBe(two().address);
  });

  test('are taken back by port', async () => {
    const wrong = await one().overlayd('publish', 'rm', '9999');
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/9999\/tcp is not published/)]);
    expect(await one().mustOverlayd('publish', 'rm', '8080')).toBe('8080/tcp -> web/api:80');
    expect(await call(two(), 'tcp', one().address, 8080)).toBeUndefined();
    expect(await call(two(), 'udp', one().address, 8080)).toBe(two().address);
    await one().mustOverlayd('publish', 'rm', `${one().address}:8080/udp`);
    expect(await rows()).toEqual([]);
    expect(await one().must(['nft', 'list', 'table', 'inet', 'overlayd'])).not.toMatch(/dnat to/);
  });
});
