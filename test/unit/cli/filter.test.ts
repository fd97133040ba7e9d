import { describe, expect, it } from 'vitest';
import { DnsSet, Endpoint, Node, Publication, type Service, Token } from '../../../src/gen/overlayd/v1/control.ts';
import { endpoint, NOW, node, run, token } from './fake-agent.ts';

/** What each listing has, by the name of what it is about. */
const answers = {
  listNodes: () => ({
    nodes: [
      { ...node, holdsStore: true, labels: { rack: '7' } },
      Node.fromPartial({ id: 'd2'.repeat(16), name: 'host2', state: 'down', left: true, holdsCopy: true }),
      Node.fromPartial({ id: 'e3'.repeat(16), name: 'host3', state: 'suspect', labels: { rack: '8', ssd: '' } }),
    ],
  }),
  listTokens: () => ({
    tokens: [
      token,
      Token.fromPartial({ ...token, id: 'oldtoken', expiresAtMs: NOW - 1, createdBy: 'host2', node: 'host9' }),
    ],
  }),
  listEndpoints: () => ({
    endpoints: [
      endpoint,
      Endpoint.fromPartial({
        ...endpoint,
        id: '9'.repeat(64),
        name: 'db',
        aliases: [],
        health: 'unhealthy',
        labels: {},
        tool: 'docker',
      }),
    ],
  }),
  listDns: () => ({
    sets: [
      DnsSet.fromPartial({ networkName: 'web', name: 'db', type: 'A', values: ['192.0.2.9'] }),
      DnsSet.fromPartial({ networkName: 'jobs', name: 'queue', type: 'TXT', values: ['x'] }),
    ],
  }),
  listServices: () => ({
    services: [
      {
        ...({ id: 'f'.repeat(64), networkName: 'web', networkId: 'n', alias: 'api' } as Service),
        addresses: ['10.20.0.100'],
        automatic: false,
        createdAtMs: 0,
        backends: [],
      },
    ],
  }),
  listPublications: () => ({
    publications: [
      Publication.fromPartial({
        hostEnd: '192.0.2.1:53/udp',
        hostPort: 53,
        protocol: 'udp',
        networkName: 'web',
        name: 'dns',
      }),
      Publication.fromPartial({
        hostEnd: '8080/tcp',
        hostPort: 8080,
        protocol: 'tcp',
        networkName: 'web',
        name: 'api',
        waitsFor: 'api',
      }),
    ],
  }),
};

describe('each listing is filtered', () => {
  it.each([
    ['node ls', 'role=keeper', 'host1'],
    ['node ls', 'role=copy', 'host2'],
    ['node ls', 'role=member', 'host3'],
    ['node ls', 'state=left', 'host2'],
    ['node ls', 'state=joining', ''],
    ['node ls', 'self=true', 'host1'],
    ['node ls', 'label=rack', 'host1 host3'],
    ['node ls', 'label=rack=8', 'host3'],
    ['node ls', 'name=host[23]', 'host2 host3'],
    ['node ls', 'version=0.1.0', 'host1'],
    ['token ls', 'expired=true', 'oldtoken'],
    ['token ls', 'expired=false', 'abcdefgh'],
    ['token ls', 'node=host9', 'oldtoken'],
    ['token ls', 'created-by=host1', 'abcdefgh'],
    ['endpoint ls', 'name=back', 'api'],
    ['endpoint ls', 'health=unhealthy', 'db'],
    ['endpoint ls', 'tool=docker', 'db'],
    ['endpoint ls', 'label=team=a', 'api'],
    ['endpoint ls', 'address=10.0.0.2', 'api db'],
    ['endpoint ls', 'network=jobs', ''],
    ['dns ls', 'type=TXT', 'queue'],
    ['dns ls', 'network=web', 'db'],
    ['dns ls', 'value=192.0.2.9', 'db'],
    ['service ls', 'alias=ap', 'api'],
    ['service ls', 'automatic=true', ''],
    ['publish ls', 'protocol=udp', 'dns'],
    ['publish ls', 'port=8080', 'api'],
    ['publish ls', 'waiting=true', 'api'],
  ])('%s --filter %s', async (line, filter, names) => {
    const field = { token: 'ID', service: 'Alias' }[line.split(' ')[0]!] ?? 'Name';
    const args = [...line.split(' '), '-f', filter, '--format', `{{.${field}}}`];
    const { out, error } = await run(args, { answers });
    expect([out.trim().split('\n').join(' '), error]).toEqual([names, '']);
  });

  it('by several keys: one key widens, different ones narrow, labels always narrow', async () => {
    const names = async (...filters: string[]) => {
      const args = filters.flatMap((filter) => ['--filter', filter]);
      return (await run(['node', 'ls', '--format', '{{.Name}}', ...args], { answers })).out.trim().split('\n');
    };
    expect(await names('name=host1', 'name=host2')).toEqual(['host1', 'host2']);
    expect(await names('name=host1', 'role=copy')).toEqual(['']);
    expect(await names('label=rack', 'label=ssd')).toEqual(['host3']);
  });
});

describe('-q', () => {
  it.each([
    ['publish ls', '192.0.2.1:53/udp\n8080/tcp\n'],
    ['dns ls', 'db.web\nqueue.jobs\n'],
    ['token ls', 'abcdefgh\noldtoken\n'],
    ['node ls', '0c1122334455\nd2d2d2d2d2d2\ne3e3e3e3e3e3\n'],
  ])('%s prints what rm takes, and cuts ids alone', async (line, expected) => {
    expect((await run(`${line} -q`, { answers })).out).toBe(expected);
  });
});
