import { describe, expect, it } from 'vitest';
import { ClusterTable, compareNames } from '../../../../src/core/page/cluster-table.ts';
import type { ClusterState, EndpointRow, HostRow } from '../../../../src/core/page/contract.ts';
import { healthOf } from '../../../../src/core/page/health.ts';
import { filterEndpoints, search } from '../../../../src/core/page/search.ts';
import { endpoint, host, network, overview, path } from './rows.ts';

function tableOf(parts: Partial<ClusterState> = {}): ClusterTable {
  const table = new ClusterTable();
  const rows = { hosts: [], paths: [], networks: [], endpoints: [] };
  table.begin({ run: 'r1', revision: 1, overview, ...rows, ...parts });
  return table;
}

describe('the table of the page', () => {
  it('is in the order in which people count', () => {
    const names = ['web10', 'web2', 'api', 'web2b', 'web02', 'web'];
    expect([...names].sort(compareNames)).toEqual(['api', 'web', 'web02', 'web2', 'web2b', 'web10'].sort(compareNames));
    expect(['host10', 'host9', 'host100'].sort(compareNames)).toEqual(['host9', 'host10', 'host100']);
    const table = tableOf({ hosts: [host({ id: 'b', name: 'h10' }), host({ id: 'a', name: 'h9' })] });
    expect(table.sorted('hosts').map(({ name }) => name)).toEqual(['h9', 'h10']);
  });

  it('takes changes in their order, once, and says what kinds changed', () => {
    const table = tableOf({ endpoints: [endpoint({ id: 'e1' }), endpoint({ id: 'e2', name: 'db' })] });
    const before = table.sorted('endpoints');
    expect(
      table.apply({ revision: 2, endpoints: { put: [endpoint({ id: 'e1', name: 'new' })], gone: ['e2'] } }),
    ).toEqual(['endpoints']);
    expect(table.sorted('endpoints').map(({ name }) => name)).toEqual(['new']);
    expect(table.sorted('endpoints')).not.toBe(before);
    expect(table.apply({ revision: 2, endpoints: { gone: ['e1'] } })).toEqual([]);
    expect(table.size('endpoints')).toBe(1);
    const same = table.sorted('endpoints');
    expect(table.apply({ revision: 3, overview: { ...overview, state: 'degraded' } })).toEqual([]);
    expect(table.overview?.state).toBe('degraded');
    expect(table.sorted('endpoints')).toBe(same);
  });

  it('has the endpoints of a network and of a host', () => {
    const table = tableOf({
      endpoints: [
        endpoint({ id: 'e1', network: 'n1', host: 'h1' }),
        endpoint({ id: 'e2', network: 'n1', host: 'h2' }),
        endpoint({ id: 'e3', network: 'n2', host: 'h2' }),
      ],
    });
    const ids = (rows: readonly EndpointRow[]) => rows.map(({ id }) => id);
    expect(ids(table.endpointsOf('network', 'n1'))).toEqual(['e1', 'e2']);
    expect(ids(table.endpointsOf('host', 'h2'))).toEqual(['e2', 'e3']);
    table.apply({ revision: 2, endpoints: { gone: ['e2'] } });
    expect(ids(table.endpointsOf('network', 'n1'))).toEqual(['e1']);
    expect(table.endpointsOf('network', 'none')).toEqual([]);
  });
});

describe('search', () => {
  const table = tableOf({
    hosts: [host({ id: 'h1', name: 'host1' }), host({ id: 'h2', name: 'rack', labels: { zone: 'web' } })],
    networks: [network({ id: 'n1', name: 'web' }), network({ id: 'n2', name: 'jobs' })],
    endpoints: [
      endpoint({ id: 'abcdef0123', network: 'n1', host: 'h1', name: 'api', addresses: ['10.0.0.2'] }),
      endpoint({ id: 'b2', network: 'n2', host: 'h1', name: 'shop-api', aliases: ['backend'] }),
    ],
  });
  const found = (text: string) => search(table, text, 5).map(({ kind, row }) => `${kind} ${row.name}`);

  it('finds by name, address, label, alias, and the beginning of an id', () => {
    expect(found('web')).toEqual(['host rack', 'network web', 'endpoint api']);
    expect(found('10.0.0.2')).toEqual(['endpoint api']);
    expect(found('BACKEND')).toEqual(['endpoint shop-api']);
    expect(found('abcd')).toEqual(['endpoint api']);
    expect(found('  ')).toEqual([]);
    expect(found('nothing-of-it')).toEqual([]);
  });

  it('puts names first that begin so, and takes all words', () => {
    expect(found('api')).toEqual(['endpoint api', 'endpoint shop-api']);
    expect(found('api jobs')).toEqual(['endpoint shop-api']);
    expect(filterEndpoints(table, table.sorted('endpoints'), 'host1 web').map(({ name }) => name)).toEqual(['api']);
    expect(filterEndpoints(table, table.sorted('endpoints'), '')).toBe(table.sorted('endpoints'));
  });

  it('tells no more of a kind than is asked for', () => {
    const many = tableOf({ hosts: Array.from({ length: 50 }, (_, at) => host({ id: `h${at}`, name: `n${at}` })) });
    expect(search(many, 'n', 5)).toHaveLength(5);
  });
});

describe('how a host is', () => {
  const other: HostRow = host({ self: false });
  it('is the worst of what is known', () => {
    expect(healthOf(host({ self: true }), undefined)).toEqual({ tone: 'good', words: 'this host' });
    expect(healthOf(other, undefined).tone).toBe('unknown');
    expect(healthOf(other, path()).tone).toBe('good');
    expect(healthOf(other, path({ control: 'suspect' })).tone).toBe('warning');
    expect(healthOf(other, path({ control: 'suspect', path: 'lost' })).words).toBe('data path lost');
    expect(healthOf(other, path({ control: 'down', path: 'lost' })).words).toBe('down');
    expect(healthOf(other, path({ path: 'loses', lossPercent: 20 })).words).toBe('loses 20 % of packets');
    expect(healthOf(other, path({ tunnel: 'no handshake' }))).toEqual({ tone: 'warning', words: 'no handshake' });
    expect(healthOf(other, path({ path: 'unknown', tunnel: '' })).tone).toBe('unknown');
    expect(healthOf(host({ self: false, left: true }), path()).words).toBe('has left');
  });
});
