/** Endpoints, with where they are. */
import { compareNames } from '../core/page/cluster-table.ts';
import type { EndpointRow } from '../core/page/contract.ts';
import { healthOf } from '../core/page/health.ts';
import { row, table, watch } from './cluster.ts';
import { Mark } from './parts.tsx';
import { linkTo } from './route.ts';
import { type Column, VirtualTable } from './virtual-table.tsx';

const hostName = ({ host }: EndpointRow) => table.get('hosts', host)?.name ?? '';
const networkName = ({ network }: EndpointRow) => table.get('networks', network)?.name ?? '';

const NAME: Column<EndpointRow> = {
  ...{ heading: 'Name', width: 'minmax(9rem, 2fr)', order: (a, b) => compareNames(a.name, b.name) },
  cell: (endpoint) => (
    <>
      <strong>{endpoint.name}</strong> {endpoint.unhealthy && <span class="tag bad">unhealthy</span>}
      {endpoint.aliases.length > 0 && <span class="faint"> {endpoint.aliases.join(', ')}</span>}
    </>
  ),
};
const ADDRESS: Column<EndpointRow> = {
  ...{ heading: 'Addresses', width: 'minmax(8rem, 1.5fr)' },
  order: (a, b) => compareNames(a.addresses[0] ?? '', b.addresses[0] ?? ''),
  cell: ({ addresses }) => <span class="address">{addresses.join(' ')}</span>,
};
const NETWORK: Column<EndpointRow> = {
  ...{ heading: 'Network', width: 'minmax(6rem, 1fr)' },
  order: (a, b) => compareNames(networkName(a), networkName(b)),
  cell: (endpoint) => <a href={linkTo('networks', networkName(endpoint))}>{networkName(endpoint)}</a>,
};
const HOST: Column<EndpointRow> = {
  ...{ heading: 'Host', width: 'minmax(6rem, 1fr)', order: (a, b) => compareNames(hostName(a), hostName(b)) },
  cell: (endpoint) => <HostLink id={endpoint.host} />,
};
const TOOL: Column<EndpointRow> = {
  ...{ heading: 'By', width: '6rem', order: (a, b) => compareNames(a.tool, b.tool) },
  cell: ({ tool }) => tool || <span class="faint">–</span>,
};

const WALK: Column<EndpointRow> = {
  ...{ heading: 'Reach', width: '5.5rem' },
  cell: ({ id, name }) => (
    <a href={linkTo('reach', '', { from: id })}>
      from here<span class="hidden">, {name}</span>
    </a>
  ),
};

function HostLink({ id }: { id: string }) {
  const host = row('hosts', id);
  if (!host) return <span class="faint">unknown</span>;
  return (
    <a href={linkTo('hosts', host.name)}>
      <Mark tone={healthOf(host, row('paths', id)).tone} /> {host.name}
    </a>
  );
}

interface Props {
  readonly label: string;
  readonly endpoints: readonly EndpointRow[];
  readonly without?: 'network' | 'host';
  readonly empty: string;
}

export function EndpointTable({ label, endpoints, without, empty }: Props) {
  // The names of what is linked to.
  watch('networks');
  watch('hosts');
  const columns = [
    ...[NAME, ADDRESS],
    ...(without === 'network' ? [] : [NETWORK]),
    ...(without === 'host' ? [] : [HOST]),
    TOOL,
    ...(without === undefined ? [WALK] : []),
  ];
  return <VirtualTable label={label} columns={columns} rows={endpoints} idOf={({ id }) => id} empty={empty} />;
}
