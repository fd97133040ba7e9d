import { describe, expect, test } from 'vitest';
import { upstreamQueries } from '../lab/internet.ts';
import { attach, reaches, resolve, untilReaches, untilResolves } from '../lab/network.ts';
import { useLab } from '../lab/use-lab.ts';

describe('names', () => {
  const addresses = new Map<string, string>();
  const address = (name: string) => addresses.get(name)!;
  const lab = useLab({
    hosts: 3,
    cluster: true,
    prepare: async (made) => {
      const one = made.host(1);
      await one.mustOverlayd('network', 'create', 'web');
      await one.mustOverlayd('network', 'create', 'db');
      await one.mustOverlayd('network', 'create', '--internal', 'vault');
      for (const host of made.hosts) {
        const name = `api-${host.name}`;
        addresses.set(name, await attach(host, name, 'web', '--name', name, '--alias', 'api', '--alias', 'backend'));
      }
      addresses.set('store', await attach(made.host(2), 'store', 'db', '--name', 'store'));
      addresses.set('safe', await attach(made.host(3), 'safe', 'vault', '--name', 'safe'));
      await untilResolves(made.host(1), 'api-h1', 'api', ['api-h1', 'api-h2', 'api-h3'].map(address));
    },
  });
  const ask = (name: string, type?: string, options?: readonly string[]) =>
    resolve(lab().host(1), 'api-h1', name, type, options);

  test('an alias that several hosts’ endpoints share is all of them, in changing order', async () => {
    const expected = ['api-h1', 'api-h2', 'api-h3'].map(address).sort();
    for (const host of lab().hosts) {
      await untilResolves(host, `api-${host.name}`, 'backend', expected);
      await untilResolves(host, `api-${host.name}`, 'tasks.backend', expected);
    }
    const first = new Set<string>();
    for (let i = 0; i < 40 && first.size < 3; i++) {
      const { stdout } = await lab().host(1).exec('api-h1', ['dig', '+short', 'backend']);
      first.add(stdout.split('\n')[0]!);
    }
    expect([...first].sort()).toEqual(expected);
  });

  test('each name alone is one address, in any case of letters, with its network too', async () => {
    for (const name of ['api-h2', 'API-H2', 'api-h2.web', 'api-h2.', 'Api-h2.WEB.']) {
      expect(await ask(name)).toEqual({ status: 'NOERROR', values: [address('api-h2')] });
    }
  });

  test('a known name has no IPv6 address, and no other type, and is never asked of the outside', async () => {
    for (const type of ['AAAA', 'MX', 'TXT'])
      expect(await ask('api-h2', type)).toEqual({ status: 'NOERROR', values: [] });
  });

  test('PTR gives the first name; every other address of the subnet has none', async () => {
    expect(await ask(address('api-h3'), 'PTR')).toEqual({ status: 'NOERROR', values: ['api-h3.web.'] });
    const unused = address('api-h3').replace(/\d+$/, '250');
    expect((await ask(unused, 'PTR')).status).toBe('NXDOMAIN');
  });

  test('a single unknown label does not exist and is not asked of the outside', async () => {
    expect((await ask('nobody')).status).toBe('NXDOMAIN');
  });

  test('names of another network do not exist here', async () => {
    expect((await ask('store')).status).toBe('NXDOMAIN');
    expect((await ask(address('store'), 'PTR')).status).toBe('NXDOMAIN');
  });

  test('TCP answers as UDP does', async () => {
    expect((await ask('backend', 'A', ['+tcp'])).values).toHaveLength(3);
  });

  test('other names come from the host’s own resolver, large answers over TCP', async () => {
    expect(await ask('www.example')).toEqual({ status: 'NOERROR', values: ['198.51.100.1'] });
    expect((await ask('big.example')).values).toHaveLength(100);
    expect((await ask('nothing.invalid')).status).toBe('NXDOMAIN');
  });

  test('on an internal network they are refused', async () => {
    const [host, container] = [lab().host(3), 'safe'];
    for (const options of [[], ['+tcp']]) {
      const answer = await resolve(host, container, 'www.example', 'A', options);
      expect(answer.values).toEqual([]);
      expect(answer.status).not.toBe('NOERROR');
    }
    expect((await resolve(host, container, 'safe')).values).toEqual([address('safe')]);
  });

  test('nothing of all this was asked of the outside but what belongs there', () => {
    const names = upstreamQueries(lab().internet)
      .slice(1)
      .map((line) => line.split(' ')[1]);
    expect([...new Set(names)].sort()).toEqual(['big.example', 'nothing.invalid', 'www.example']);
  });

  test('a container on two networks has the names of both, on two interfaces, with one default route', async () => {
    const host = lab().host(1);
    const onDb = await host.mustOverlayd('network', 'connect', '--name', 'api-h1', 'db', 'netns:api-h1');
    await untilReaches(host, 'api-h1', 'store');
    await untilReaches(host, 'api-h1', 'api-h3');
    await untilResolves(lab().host(2), 'store', 'api-h1', [onDb]);
    const links = await host.mustExec('api-h1', ['ip', '-o', '-4', 'addr', 'show']);
    expect(links).toMatch(new RegExp(`eth0 .*${address('api-h1')}/24`));
    expect(links).toMatch(new RegExp(`eth1 .*${onDb}/24`));
    const routes = await host.mustExec('api-h1', ['ip', 'route', 'show', 'default']);
    expect(routes.trim().split('\n')).toHaveLength(1);
    expect(await reaches(host, 'api-h1', '198.51.100.1')).toBe(true);
  });

  test('after it left one of them, that one’s names are gone and the other’s stay', async () => {
    const host = lab().host(1);
    await host.mustOverlayd('network', 'disconnect', 'db', 'netns:api-h1');
    expect((await ask('store')).status).toBe('NXDOMAIN');
    await untilReaches(host, 'api-h1', 'api-h3');
    await untilResolves(lab().host(2), 'store', 'api-h1', []);
  });

  test('the container’s resolver is the user’s again after the last disconnect', async () => {
    const host = lab().host(1);
    await host.container('plain');
    const before = await host.mustExec('plain', ['cat', '/etc/resolv.conf']);
    await host.mustOverlayd('network', 'connect', 'web', 'netns:plain');
    expect(await host.mustExec('plain', ['cat', '/etc/resolv.conf'])).not.toBe(before);
    await host.mustOverlayd('network', 'disconnect', 'web', 'netns:plain');
    expect(await host.mustExec('plain', ['cat', '/etc/resolv.conf'])).toBe(before);
  });
});
