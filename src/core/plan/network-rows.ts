/** A network's rows in its namespace: addresses, routes, and two rows of each endpoint. */
import {
  BRIDGE,
  DEFAULT,
  type Desired,
  type DesiredNetwork,
  type DesiredPort,
  TUNNEL,
  UPLINK,
  UPLINK_NEXT_HOP,
} from '../host-state.ts';
import { FAMILIES, familyOfAddress } from '../ip.ts';
import { isOnlyOfMac, spliceRows } from '../row-difference.ts';
import {
  ALL_ZEROS,
  asBridgeRows,
  type FdbTable,
  firstOfEachMac,
  type NeighbourTable,
  RowWriter,
  rowsOfLinks,
  withRows,
} from '../row-table.ts';
import { hasFamily } from '../subnets.ts';
import { gatewayMac, serviceMac, uplinkMacs } from './naming.ts';
import { isNoChange, type PortChange, portChange } from './port-change.ts';
import { isMulticast, linkLocalAddress, ours, type Rows, serviceAddressOf } from './wanted.ts';

type TableRows = Rows & { readonly neighbours: NeighbourTable; readonly fdb: FdbTable };

/** Rows, and all that they were made of. */
interface MadeRows {
  readonly rows: TableRows;
  /** Each endpoint has a row of its own of the FDB, and there are no others. */
  readonly isPlain: boolean;
  readonly ports: readonly DesiredPort[];
  readonly subnets: DesiredNetwork['subnets'];
  readonly vni: number;
  readonly internal: boolean;
  readonly multicastRate: number | undefined;
  readonly port: number;
  readonly families: number;
  readonly serviceAddress: boolean;
  readonly services: DesiredNetwork['services'];
  readonly exposed: string;
}

/** What was made last, by the remotes of the network. */
const rowsMade = new WeakMap<DesiredNetwork['remotes'], MadeRows>();

/** The same tables as long as they are made of the same: then they are compared with what is there once. */
export function networkRows(network: DesiredNetwork, ports: readonly DesiredPort[], desired: Desired): Rows {
  const { remotes, subnets, vni, internal, multicastRate, services } = network;
  const { port } = network.tunnel;
  const { families, serviceAddress } = desired;
  const exposed = JSON.stringify(network.exposed ?? '');
  const made = rowsMade.get(remotes);
  const isSame =
    made?.subnets === subnets &&
    made.vni === vni &&
    made.internal === internal &&
    made.multicastRate === multicastRate &&
    made.port === port &&
    made.families === families.length &&
    made.serviceAddress === serviceAddress &&
    made.services === services &&
    made.exposed === exposed;
  const change = isSame ? portChange(made.ports, ports) : undefined;
  if (made && change && isNoChange(change)) return made.rows;
  const changed = made?.isPlain && change ? changedRows(made, change) : undefined;
  const { rows, isPlain } = changed ? { rows: changed, isPlain: true } : makeRows(network, ports, desired);
  rowsMade.set(remotes, {
    rows,
    isPlain,
    ports,
    subnets,
    vni,
    internal,
    multicastRate,
    port,
    families: families.length,
    serviceAddress,
    services,
    exposed,
  });
  return rows;
}

/** Made of the last ones; undefined where a MAC would be there twice. */
function changedRows({ rows, ports: before }: MadeRows, { front, gone, come }: PortChange): TableRows | undefined {
  const neighbours = new RowWriter('neighbour', come.length);
  const fdb = new RowWriter('fdb', come.length);
  for (const port of come) writePort(port, neighbours, fdb);
  let start = 0;
  for (let nth = 0; nth < front; nth++) start += before[nth]!.addresses.length;
  const ofGone = gone.reduce((sum, { addresses }) => sum + addresses.length, 0);
  const all = spliceRows(rows.fdb, front, gone.length, fdb.table());
  if (!come.every((_, nth) => isOnlyOfMac(all, front + nth))) return undefined;
  return { ...rows, neighbours: spliceRows(rows.neighbours, start, ofGone, neighbours.table()), fdb: all };
}

function writePort(
  { addresses, mac, link }: DesiredPort,
  neighbours: RowWriter<'neighbour'>,
  fdb: RowWriter<'fdb'>,
): void {
  for (const { address } of addresses) neighbours.neighbour(TUNNEL, address, mac);
  fdb.fdb(link, mac, undefined, undefined);
}

/**
 * Local endpoints have neighbour rows as remote ones do: all ARP and all solicitations are answered from the table. Of two
 * endpoints with one MAC, as older releases let them be, the first has the FDB row: a table holds one of each, and two would
 * take turns for ever.
 */
function makeRows(
  network: DesiredNetwork,
  ports: readonly DesiredPort[],
  desired: Desired,
): Pick<MadeRows, 'rows' | 'isPlain'> {
  const { port } = network.tunnel;
  const { serviceAddress } = desired;
  const count = network.remotes.reduce((sum, { endpoints }) => sum + endpoints.length, ports.length);
  const families = FAMILIES.filter((family) => hasFamily(network, family));
  const neighbours = new RowWriter('neighbour', families.length * (count + 2));
  const fdb = new RowWriter('fdb', count);
  for (const port of ports) writePort(port, neighbours, fdb);
  for (const { endpoints, vtep, port: theirs } of network.remotes) {
    for (const { addresses, mac } of endpoints) {
      for (const { ip } of addresses) neighbours.neighbour(TUNNEL, ip, mac);
      fdb.fdb(TUNNEL, mac, vtep, theirs === port ? undefined : theirs);
    }
  }
  const ways = network.internal ? [] : families.filter((family) => desired.families.includes(family));
  const { addresses: ofHost = [], mac: macOfHost = '' } = network.exposed ?? {};
  for (const address of ofHost) neighbours.neighbour(TUNNEL, address, macOfHost);
  for (const family of families)
    if (ways.includes(family) || ofHost.some((address) => familyOfAddress(address) === family))
      neighbours.neighbour(UPLINK, UPLINK_NEXT_HOP[family], uplinkMacs(network.vni).host);
  for (const { addresses } of network.services)
    for (const address of addresses) neighbours.neighbour(TUNNEL, address, serviceMac(network.vni));
  const all = fdb.table();
  const ofMacs = firstOfEachMac(all);
  const isMany = isMulticast(network);
  const rows = {
    addresses: [
      ...network.subnets.map(({ gateway, prefix }) => ({ link: BRIDGE, address: gateway, prefix })),
      ...(families.includes(6) ? [linkLocalAddress(BRIDGE, gatewayMac(network))] : []),
      ...(serviceAddress ? [serviceAddressOf(BRIDGE)] : []),
    ],
    routes: [
      ...ways.map((family) => ours(DEFAULT[family], UPLINK_NEXT_HOP[family], UPLINK)),
      ...ofHost.map((address) => ours(address, UPLINK_NEXT_HOP[familyOfAddress(address)], UPLINK)),
    ],
    neighbours: neighbours.table(),
    fdb: isMany ? withFloodRows(ofMacs, network) : ofMacs,
  };
  return { rows, isPlain: !isMany && ofMacs === all };
}

/**
 * The bridge's rows of MACs behind the tunnel, and for what is for a group or for everybody a row of each tunnel end that has
 * endpoints (head-end replication).
 */
function withFloodRows(fdb: FdbTable, { remotes, tunnel: { port } }: DesiredNetwork): FdbTable {
  const floods = new RowWriter('fdb', remotes.length);
  // A member may have the address of one that is gone and still has endpoints; the device has one row of both.
  const ends = new Map(remotes.map(({ vtep, port: theirs }) => [`${vtep} ${theirs}`, { vtep, theirs }]));
  for (const { vtep, theirs } of ends.values())
    floods.fdb(TUNNEL, ALL_ZEROS, vtep, theirs === port ? undefined : theirs);
  const behindTunnel = asBridgeRows(rowsOfLinks(fdb, (link) => link === TUNNEL));
  return withRows(withRows(fdb, behindTunnel), floods.table());
}
