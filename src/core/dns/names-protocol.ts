/**
 * What the agent tells the process that answers names. Everything is idempotent, and in order within a session: the time of
 * one connection. The process outlives sessions, and keeps what it was told in those before.
 *
 * A session begins with an agent that may know less than the process: nothing of what other hosts have, right after its
 * start. So it adds and changes, and takes away only what it told itself; when it knows all of a network it says
 * `whole`, and what nobody told in this session goes. Before the first `whole`, a name that is not known is neither
 * denied nor asked of anybody else.
 */
import type { EndpointRecord, StaticSet } from '../records.ts';

/** Of what is said below. Who speaks another one is replaced. */
export const NAMES_PROTOCOL = 2;

/** One address of an endpoint as its network's names need it. */
export interface ZoneEntry {
  readonly address: string;
  /** What its address is called. */
  readonly name: string;
  /** All that it goes by, in lower case. */
  readonly names: readonly string[];
  /** False: the names are known but have no address. */
  readonly shown: boolean;
  /** Of several with a name, those that are well are answered. Absent: well. */
  readonly unwell?: true | undefined;
  /** Absent: none. */
  readonly services?: ZoneServices | undefined;
}

/** Ports of an endpoint that are asked for by a name. */
export interface ZoneServices {
  /** A name that is this endpoint's alone: its short id. */
  readonly host: string;
  readonly ports: readonly ZoneService[];
}

export interface ZoneService {
  /** In lower case, e.g. `_http._tcp`. */
  readonly service: string;
  readonly port: number;
}

/** A name that has addresses of its own, of which other names are behind. */
export interface ZoneServiceAddress {
  /** In lower case. */
  readonly name: string;
  readonly addresses: readonly string[];
}

/** Of a network, what its names depend on. */
export interface ZoneNetwork {
  readonly name: string;
  readonly internal: boolean;
  /** CIDR blocks. */
  readonly subnets: readonly string[];
  /** Name servers of its own (`upstreams.ts`). Absent: the host's. */
  readonly upstreams?: readonly string[];
}

/** A container of this host with more ways than the network at which its address asks. */
export interface ZoneClient {
  readonly address: string;
  /** Ids of all its networks. */
  readonly networks: readonly string[];
  /** Through a network that is none of ours. */
  readonly wayOut: boolean;
}

/** A container of this host's engine, answered inside of it, where it asks its engine's own name server. */
export interface InsideAsker {
  /** Tells it from all others. */
  readonly key: string;
  readonly namespacePath: string;
  /** Process id, with whose end its own has come. Absent: it is not known yet which process it is. */
  readonly process?: number | undefined;
  /** One of its endpoints: it gets the answers that it would get at the gateway of that one's network. */
  readonly networkId: string;
  readonly address: string;
  /** Its engine knows names that we do not, or whom to ask: what is not ours is asked of it. */
  readonly engineKnows: boolean;
}

export interface OverlaySubnet {
  readonly cidr: string;
  readonly gateway: string;
}

export type NamesNews =
  | { readonly kind: 'settings'; readonly ttlSeconds: number }
  /** All subnets of the cluster, or those that are known so far. */
  | { readonly kind: 'cluster'; readonly subnets: readonly OverlaySubnet[]; readonly whole: boolean }
  | {
      readonly kind: 'zone';
      readonly networkId: string;
      readonly network: ZoneNetwork;
      readonly set: readonly ZoneEntry[];
      readonly removed: readonly string[];
      /** Of a network that was not known: nothing of it is answered before something is told without this. */
      readonly ahead?: boolean | undefined;
    }
  /** All static names of the network; they count where no endpoint goes by the name. */
  | { readonly kind: 'static'; readonly networkId: string; readonly sets: readonly StaticSet[] }
  /** All services of the network: names that are answered with the service's addresses, whoever goes by them. */
  | { readonly kind: 'services'; readonly networkId: string; readonly services: readonly ZoneServiceAddress[] }
  /** The first of a session tells all of the network: they are of this host, whose agent knows them from its start. */
  | {
      readonly kind: 'clients';
      readonly networkId: string;
      readonly set: readonly ZoneClient[];
      readonly removed: readonly string[];
    }
  /** Of these networks the host's engine may know containers whose names nobody has told yet. Those of the last message count. */
  | { readonly kind: 'naming'; readonly networkIds: readonly string[] }
  /** What this session has told of the network is all that there is. */
  | { readonly kind: 'whole'; readonly networkId: string };

export type NamesRequest =
  /** Answer at these addresses in the namespace at that path, and at no others of the network; `''`: for the host. */
  | {
      readonly kind: 'listen';
      readonly networkId: string;
      readonly namespacePath: string;
      readonly addresses: readonly string[];
    }
  /** Neither answer for the network any more nor know of it. */
  | { readonly kind: 'close'; readonly networkId: string }
  /** The same of all networks but these. */
  | { readonly kind: 'keep'; readonly networkIds: readonly string[] }
  /** Close the sockets of the network, and those in the namespace at that path, whichever network's they are. */
  | { readonly kind: 'release'; readonly networkId: string | undefined; readonly namespacePath: string | undefined }
  /** Answer inside of that container, or answer it differently. */
  | { readonly kind: 'serve'; readonly container: InsideAsker }
  /** Its engine's name server is asked again. */
  | { readonly kind: 'leave'; readonly key: string }
  /** The same of all containers but these. */
  | { readonly kind: 'keep-inside'; readonly keys: readonly string[] }
  /**
   * `news` is all that there is of the network: refused with `conflict` where something else is answered, in words. With
   * `repair` it takes the place of what is known, at once.
   */
  | {
      readonly kind: 'compare';
      readonly networkId: string;
      readonly news: readonly NamesNews[];
      readonly repair: boolean;
    }
  /** Done when all that was told before counts. */
  | { readonly kind: 'sync' };

const SHORT_ID = 12;

/** Names of an endpoint are its name, its aliases and its short id, dots and all. */
export function namesOf({ id, name, aliases }: Pick<EndpointRecord, 'id' | 'name' | 'aliases'>): readonly string[] {
  const [first, last] = [name.toLowerCase(), id.slice(0, SHORT_ID).toLowerCase()];
  // Of thousands most have nothing to be sorted out.
  if (aliases.length === 0 && first !== last) return [first, last];
  return [...new Set([first, ...aliases.map((alias) => alias.toLowerCase()), last])];
}

export function zoneEntry(endpoint: EndpointRecord, address: string, shown: boolean): ZoneEntry {
  const unwell = endpoint.health === 'unhealthy' ? { unwell: true as const } : {};
  const entry = { address, name: endpoint.name, names: namesOf(endpoint), shown, ...unwell };
  const ports = endpoint.ports?.flatMap(({ port, protocol, name }) =>
    name === undefined ? [] : { service: `_${name}._${protocol}`.toLowerCase(), port },
  );
  if (!ports?.length) return entry;
  return { ...entry, services: { host: endpoint.id.slice(0, SHORT_ID).toLowerCase(), ports } };
}
