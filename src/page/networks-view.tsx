/** Networks, how full they are, and what is on the chosen one. */
import { compareNames } from '../core/page/cluster-table.ts';
import type { NetworkRow, SubnetRow } from '../core/page/contract.ts';
import { fillOf } from '../core/page/health.ts';
import { endpointsOf, rows, watch } from './cluster.ts';
import { Detail } from './detail.tsx';
import { EndpointTable } from './endpoint-table.tsx';
import { count, counted, Facts, Labels, Moment, Tag, Use } from './parts.tsx';
import { open, route } from './route.ts';
import { type Column, VirtualTable } from './virtual-table.tsx';

/** Of the subnet that has least left. */
function fullest({ subnets }: NetworkRow): SubnetRow | undefined {
  return subnets.toSorted((a, b) => fillOf(b) - fillOf(a))[0];
}

const endpointsOn = ({ id }: NetworkRow) => endpointsOf('network', id).length;

const COLUMNS: readonly Column<NetworkRow>[] = [
  {
    ...{ heading: 'Name', width: 'minmax(8rem, 2fr)', order: (a, b) => compareNames(a.name, b.name) },
    cell: (network) => (
      <>
        <strong>{network.name}</strong> <Kinds network={network} />
      </>
    ),
  },
  {
    ...{ heading: 'Subnets', width: 'minmax(8rem, 2fr)' },
    cell: ({ subnets }) => <span class="address">{subnets.map(({ cidr }) => cidr).join(' ')}</span>,
  },
  {
    ...{ heading: 'VNI', width: '5rem', isNumber: true, order: (a, b) => a.vni - b.vni },
    cell: ({ vni }) => vni,
  },
  {
    ...{ heading: 'Endpoints', width: '6rem', isNumber: true, order: (a, b) => endpointsOn(a) - endpointsOn(b) },
    cell: (network) => count(endpointsOn(network)),
  },
  {
    ...{ heading: 'Addresses used', width: '9rem' },
    order: (a, b) => fillOf(fullest(a) ?? NONE) - fillOf(fullest(b) ?? NONE),
    cell: (network) => <Use subnet={fullest(network) ?? NONE} label={network.name} />,
  },
];
const NONE = { total: 0, free: 0 };

function Kinds({ network: { deleting, encrypted, internal } }: { network: NetworkRow }) {
  return (
    <>
      {encrypted && <Tag>encrypted</Tag>} {internal && <Tag>internal</Tag>} {deleting && <Tag>being removed</Tag>}
    </>
  );
}

export function NetworksView() {
  const networks = rows('networks');
  watch('endpoints');
  const { item } = route.value;
  const chosen = networks.find(({ name }) => name === item);
  return (
    <div class={chosen ? 'split' : 'whole'}>
      <section aria-labelledby="networks-heading">
        <header class="bar">
          <h1 id="networks-heading">{counted(networks.length, 'network')}</h1>
        </header>
        <VirtualTable
          label="Networks"
          columns={chosen ? COLUMNS.filter(({ heading }) => heading !== 'VNI') : COLUMNS}
          rows={networks}
          idOf={({ id }) => id}
          chosen={chosen?.id}
          onOpen={({ name }) => open('networks', name)}
          empty="There is no network yet: overlayd network create web"
        />
      </section>
      {chosen && <NetworkDetail key={chosen.id} network={chosen} />}
    </div>
  );
}

function NetworkDetail({ network }: { network: NetworkRow }) {
  const endpoints = endpointsOf('network', network.id);
  const hosts = new Set(endpoints.map(({ host }) => host)).size;
  return (
    <Detail name={network.name} list="networks" tags={<Kinds network={network} />}>
      <Facts
        facts={[
          ['VNI', String(network.vni)],
          ['MTU inside', String(network.mtu)],
          ['Made', <Moment at={network.createdAt} />],
          ['Labels', <Labels labels={network.labels} />],
          ['Options', <Labels labels={network.options} />],
          ...(network.names.length === 0 ? [] : [['Names', network.names.join(' · ')] as const]),
        ]}
      />
      <h3>Addresses</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keys scroll what has the focus */}
      <section class="scroll" aria-label="Addresses, by subnet" tabIndex={0}>
        <table class="plain">
          <thead>
            <tr>
              {['Subnet', 'Gateway'].map((heading) => (
                <th key={heading} scope="col">
                  {heading}
                </th>
              ))}
              {['Used', 'Resting', 'Kept', 'Free'].map((heading) => (
                <th key={heading} scope="col" class="number">
                  {heading}
                </th>
              ))}
              <th scope="col">In use</th>
            </tr>
          </thead>
          <tbody>
            {network.subnets.map((subnet) => (
              <tr key={subnet.cidr}>
                <th scope="row" class="address">
                  {subnet.cidr}
                  {subnet.range && <span class="faint"> from {subnet.range}</span>}
                </th>
                <td class="address">{subnet.gateway}</td>
                <td class="number">{count(subnet.used)}</td>
                <td class="number">{count(subnet.quarantined)}</td>
                <td class="number">{count(subnet.kept)}</td>
                <td class="number">{count(subnet.free)}</td>
                <td>
                  <Use subnet={subnet} label={subnet.cidr} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <h3>
        {counted(endpoints.length, 'endpoint')} on {counted(hosts, 'host')}
      </h3>
      <EndpointTable
        label={`Endpoints on ${network.name}`}
        endpoints={endpoints}
        without="network"
        empty="Nothing is connected to it."
      />
    </Detail>
  );
}
