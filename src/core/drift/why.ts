/** What a thing in the kernel is wanted for, in words. */
import type { ClusterView } from '../cluster-view.ts';
import type { LocalEndpoint } from '../container.ts';
import { BRIDGE, type DesiredNetwork, HOST, type Place, SERVICE_ADDRESS, TUNNEL, UPLINK } from '../host-state.ts';
import { isNetworkNamespace, isUplink, namespaceOfUplink, vniOf } from '../plan/naming.ts';
import type { EndpointRecord } from '../records.ts';
import { ALL_ZEROS } from '../row-table.ts';
import type { Drift } from './drift.ts';

type View = Pick<ClusterView, 'network' | 'networks' | 'endpointsOn' | 'node'>;

/** Whose things are. Made anew for each look. */
export class Directory {
  readonly #view: View;
  readonly #selfId: string;
  readonly #containers: ReadonlyMap<Place, string>;
  /** By network id, endpoints by their addresses and MACs: made where something differs. */
  readonly #holders = new Map<string, ReadonlyMap<string, EndpointRecord>>();

  constructor(view: View, selfId: string, local: Iterable<Pick<LocalEndpoint, 'container'>>) {
    this.#view = view;
    this.#selfId = selfId;
    this.#containers = new Map(Array.from(local, ({ container }) => [container.path, container.text]));
  }

  /** As it was named (`netns:c1`), by the path of its namespace. */
  containerAt(path: Place): string | undefined {
    return this.#containers.get(path);
  }

  nameOf(networkId: string): string {
    return this.#view.network(networkId)?.name ?? networkId;
  }

  /** Its name, by its namespace. */
  networkOf(namespace: Place | undefined): string | undefined {
    if (namespace === undefined) return undefined;
    const vni = vniOf(namespace);
    return [...this.#view.networks()].find((each) => each.vni === vni)?.name;
  }

  /** `api of web is on h2`, by an address or MAC of it. */
  whereIs(networkId: string, addressOrMac: string): string | undefined {
    const record = this.#holdersOn(networkId).get(addressOrMac);
    if (!record) return undefined;
    const other = this.#view.node(record.nodeId)?.name ?? 'another host';
    return `${record.name} of ${this.nameOf(networkId)} is on ${record.nodeId === this.#selfId ? 'this host' : other}`;
  }

  #holdersOn(networkId: string): ReadonlyMap<string, EndpointRecord> {
    const known = this.#holders.get(networkId);
    if (known) return known;
    const holders = new Map<string, EndpointRecord>();
    for (const record of this.#view.endpointsOn(networkId)) {
      holders.set(record.mac, record);
      for (const { ip } of record.addresses) holders.set(ip, record);
    }
    this.#holders.set(networkId, holders);
    return holders;
  }
}

type Subject = Pick<Drift, 'kind' | 'object' | 'state' | 'detail'> & { readonly at: Place };

/** `network`: whose it is; undefined: the host's own part, or nothing that there is any more. */
export function whyOf(
  subject: Subject,
  network: DesiredNetwork | undefined,
  endpointId: string | undefined,
  directory: Directory,
): string {
  if (subject.state === 'extra') return 'nothing that is wanted has it';
  const { kind, at } = subject;
  const name = network && directory.nameOf(network.networkId);
  if (kind === 'table' || kind === 'chain' || kind === 'set' || kind === 'element') return whyOfTable(subject, name);
  if (name === undefined || !network) return whyOfHost(subject, directory);
  const own = network.ports.find(({ endpoint }) => endpoint.record.id === endpointId)?.endpoint;
  if (own && !isNetworkNamespace(at) && at !== HOST)
    return `${own.record.name} on ${name}, inside of ${own.container.text}`;
  if (own) return `the port of ${own.record.name} (${own.container.text}) on ${name}`;
  switch (kind) {
    case 'namespace':
      return `containers here are on ${name}`;
    case 'setting':
      return `packets of ${name} are forwarded`;
    case 'address':
      return at === HOST ? `this host itself is on ${name}` : whyOfAddress(subject.object, name);
    case 'route':
      if (network.exposed?.addresses.some((address) => subject.object.startsWith(`${address} `)))
        return `this host itself is on ${name}`;
      return at === HOST ? `the way from this host into ${name}` : `the way out of ${name}`;
    case 'neighbour':
    case 'FDB row':
      return whyOfRow(subject, network, name, directory);
    default:
      return whyOfLink(subject.object, name);
  }
}

function whyOfTable({ at, object }: Subject, network: string | undefined): string {
  if (at === HOST) {
    if (/\b(?:published6?|calling|around)\b/.test(object)) return 'published ports';
    return 'who may reach this host and what passes it';
  }
  if (/\b(?:inward|outward) of table/.test(object)) return `this host itself is on ${network ?? at}`;
  const ofServices = object.includes('table inet') || /\b(?:detour|onward|clients|members6?) of table/.test(object);
  return `${ofServices ? 'services of' : 'who may send what on'} ${network ?? at}`;
}

function whyOfHost({ kind, object }: Subject, directory: Directory): string {
  if (kind === 'address') return 'containers are answered names there';
  if (kind === 'setting') return 'containers reach what is outside';
  const link = /(?:^| dev )(ovl\d+)$/.exec(object)?.[1] ?? object;
  const network = isUplink(link) ? directory.networkOf(namespaceOfUplink(link)) : undefined;
  return network === undefined ? '' : `the way between this host and ${network}`;
}

function whyOfAddress(object: string, network: string): string {
  if (object.startsWith(`${SERVICE_ADDRESS}/`)) return `names are answered there on ${network}`;
  return `the gateway of ${network}`;
}

function whyOfLink(link: string, network: string): string {
  if (link === BRIDGE) return `the bridge of ${network}`;
  if (link === TUNNEL) return `the tunnel of ${network} to other hosts`;
  if (link === UPLINK || isUplink(link)) return `the way between this host and ${network}`;
  return `network ${network}`;
}

function whyOfRow({ kind, object }: Subject, network: DesiredNetwork, name: string, directory: Directory): string {
  const [first = '', , link] = object.split(' ');
  if (link === UPLINK || isUplink(link ?? '')) return `the way between this host and ${name}`;
  if (first === ALL_ZEROS) return `what is for all on ${name}`;
  const { networkId, services } = network;
  if (kind === 'neighbour' && services.some(({ addresses }) => addresses.includes(first)))
    return `a service of ${name}`;
  return directory.whereIs(networkId, first) ?? `an endpoint of ${name}`;
}
