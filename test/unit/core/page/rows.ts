/** Rows as the page is told them, but for what is given. */
import type { EndpointRow, HostRow, NetworkRow, Overview, PathRow } from '../../../../src/core/page/contract.ts';

export const overview: Overview = {
  ...{ cluster: 'c1', host: 'host1', version: '0.1.0', state: 'ready', away: '', writable: false, level: 5 },
  ...{ storeReachable: true, keepers: ['host1'], keepersWanted: 1, encryption: '', repairs: 0, findings: [] },
};

export function host(parts: Partial<HostRow> = {}): HostRow {
  return {
    ...{ id: 'h1', name: 'host1', address: '192.0.2.1', self: true, left: false, version: '0.1.0', store: '' },
    ...{ nat: false, mtu: 1500, joinedAt: 1, labels: {} },
    ...parts,
  };
}

export function path(parts: Partial<PathRow> = {}): PathRow {
  return {
    ...{ id: 'h1', control: 'ready', path: 'passes', lossPercent: 0, roundTripMs: 0.5, mtu: 1450, changedAt: 1 },
    ...parts,
  };
}

export function network(parts: Partial<NetworkRow> = {}): NetworkRow {
  return {
    ...{ id: 'n1', name: 'web', vni: 4096, deleting: false, internal: false, encrypted: false, mtu: 1450 },
    ...{ subnets: [], labels: {}, options: {}, createdAt: 1, names: [] },
    ...parts,
  };
}

export function endpoint(parts: Partial<EndpointRow> = {}): EndpointRow {
  return {
    ...{ id: 'e1', network: 'n1', host: 'h1', name: 'api', aliases: [], addresses: ['10.0.0.9'] },
    ...{ mac: '02:42:0a:00:00:09', tool: 'docker', unhealthy: false, ports: [] },
    ...parts,
  };
}
