/**
 * Service addresses in a network's namespace (docs/adr/0027-a-service-is-an-address.md). What a container here sends to one
 * goes to the bridge itself instead of through it, which sends it on to one of those behind the address, the next one for each
 * connection, as connection tracking remembers; and what comes back from one of those to a container here goes the same way,
 * so that it comes from the address again. The asked one sees the asker's address, but for a container that reaches itself,
 * which sees the service's. Between whom neither is for a service nor from one behind it nothing is tracked.
 */
import type { DesiredNetwork, DesiredPort, Op } from '../host-state.ts';
import { BRIDGE, TUNNEL, UPLINK } from '../host-state.ts';
import { FAMILIES, type Family, familyOfAddress } from '../ip.ts';
import type { Filter, FilterChain, FilterSet } from '../packet-filter.ts';
import { type DesiredService, ofFamily } from '../service.ts';
import { hasFamily } from '../subnets.ts';
import { asLoaded, chain, DSTNAT, EARLY, filterOps, HEADER, RAW, SRCNAT, set, ADDRESS_TYPE as TYPE } from './filter.ts';
import { gatewayMac, serviceMac } from './naming.ts';
import type { Owner, Steps } from './steps.ts';

const FILTER = 0;
const MEMBERS = { 4: 'members', 6: 'members6' } as const;
/** Asked by no rule: what the table was made of. */
const BACKENDS = { 4: 'backends', 6: 'backends6' } as const;
const VIPS = { 4: 'services', 6: 'services6' } as const;
const SELVES = { 4: 'selves', 6: 'selves6' } as const;

/** What the bridge's own table has of it. */
export function detour(
  network: DesiredNetwork,
  ports: readonly DesiredPort[],
): { readonly sets: readonly FilterSet[]; readonly chains: readonly FilterChain[] } {
  if (network.services.length === 0) return { sets: [], chains: [] };
  const [gateway, mac] = [gatewayMac(network), serviceMac(network.vni)];
  const families = familiesOf(network);
  const toBridge = `ether daddr set ${gateway} meta pkttype set host`;
  return {
    sets: [
      set(
        'clients',
        ['ether_addr'],
        ports.map((port) => port.mac),
      ),
      ...families.map((family) => set(MEMBERS[family], [TYPE[family]], membersOf(network.services, family))),
    ],
    chains: [
      // After what a container may send was decided.
      chain('detour', 'prerouting', RAW + 10, 'accept', [
        // Neighbours speak to each other, and not by routers (RFC 4861, section 11).
        ...(families.includes(6) ? ['icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept'] : []),
        ...families.map((family) => `ether daddr ${mac} ether type ${HEADER[family]} ${toBridge} accept`),
        ...families.map((family) => `${HEADER[family]} saddr @${MEMBERS[family]} ether daddr @clients ${toBridge}`),
      ]),
      // Nobody behind the tunnel speaks with the gateway's MAC, and nobody is to be told of a better way.
      chain('onward', 'output', EARLY, 'accept', [
        ...(families.includes(6) ? ['icmpv6 type nd-redirect drop'] : []),
        ...network.subnets.map(({ cidr, gateway: own }) => {
          const header = HEADER[familyOfAddress(own)];
          return `oifname "${TUNNEL}" ${header} saddr ${cidr} ${header} saddr != ${own} ether saddr set ${mac}`;
        }),
      ]),
    ],
  };
}

const DETOUR = ['detour', 'onward', 'clients', ...Object.values(MEMBERS)];

/** The bridge's own table without what it has of services, where it is not known whether there are any: that stays. */
export function sparingDetour(seen: Filter | undefined, { services }: DesiredNetwork, provesAbsence: boolean) {
  if (!seen || provesAbsence || services.length > 0) return seen;
  const isOther = ({ name }: { readonly name: string }) => !DETOUR.includes(name);
  return { ...seen, sets: seen.sets.filter(isOther), chains: seen.chains.filter(isOther) };
}

/** The table that chooses. Undefined: there are no services. */
export function serviceFilter(network: DesiredNetwork, ports: readonly DesiredPort[]): Filter | undefined {
  const { services } = network;
  if (services.length === 0) return undefined;
  const ofHost = network.exposed?.addresses ?? [];
  const families = familiesOf(network);
  const ofEach = (rule: (family: Family) => string | readonly string[]) => families.flatMap(rule);
  const known = (family: Family) => new Set(membersOf(services, family));
  const own = (family: Family) =>
    [...ports.flatMap(({ addresses }) => addresses.map(({ address }) => address)), ...ofHost].flatMap((address) =>
      known(family).has(address) ? [`${address} ${address}`] : [],
    );
  const each = (rule: (family: Family, address: string, backends: readonly string[]) => string | undefined) =>
    services.flatMap(({ addresses, backends }) =>
      addresses.flatMap((address) => {
        const family = familyOfAddress(address);
        return rule(family, address, ofFamily(backends, family)) ?? [];
      }),
    );
  return {
    family: 'inet',
    sets: [
      ...families.map((family) =>
        set(
          VIPS[family],
          [TYPE[family]],
          services.flatMap(({ addresses }) => ofFamily(addresses, family)),
        ),
      ),
      ...families.map((family) => set(MEMBERS[family], [TYPE[family]], membersOf(services, family))),
      ...families.map((family) => set(BACKENDS[family], [TYPE[family]], backendsOf(services, family))),
      ...families.map((family) => set(SELVES[family], [TYPE[family], TYPE[family]], own(family))),
    ],
    chains: [
      chain('tracked', 'prerouting', RAW, 'accept', [
        ...ofEach((family) => `iifname "${BRIDGE}" ${HEADER[family]} daddr @${VIPS[family]} accept`),
        ...ofEach((family) => `iifname "${BRIDGE}" ${HEADER[family]} saddr @${MEMBERS[family]} accept`),
        // Of the host itself, which is an endpoint as well, and may be behind one.
        ...ofHost.map((address) => {
          const family = familyOfAddress(address);
          const header = HEADER[family];
          const isFor = known(family).has(address) ? '' : ` ${header} daddr @${VIPS[family]}`;
          return `iifname "${UPLINK}" ${header} saddr ${address}${isFor} accept`;
        }),
        'notrack',
      ]),
      chain('said', 'output', RAW, 'accept', ['notrack']),
      {
        ...chain(
          'choose',
          'prerouting',
          DSTNAT,
          'accept',
          each((family, address, backends) =>
            backends.length === 0
              ? undefined
              : `${HEADER[family]} daddr ${address} dnat ${HEADER[family]} to ${turns(backends)}`,
          ),
        ),
        type: 'nat',
      },
      {
        ...chain(
          'itself',
          'postrouting',
          SRCNAT,
          'accept',
          each((family, address) => {
            const header = HEADER[family];
            const isSelf = `${header} saddr . ${header} daddr @${SELVES[family]}`;
            return `ct original ${header} daddr ${address} ${isSelf} snat ${header} to ${address}`;
          }),
        ),
        type: 'nat',
      },
      chain('nobody', 'forward', FILTER, 'accept', [
        ...ofEach((family) => {
          const isFor = `${HEADER[family]} daddr @${VIPS[family]}`;
          return [`${isFor} meta l4proto tcp reject with tcp reset`, `${isFor} reject`];
        }),
      ]),
    ],
  };
}

/** Whether the table is as it should be, as far as that is known. */
export function isServiceFilterRight(
  network: DesiredNetwork,
  seen: Filter | undefined,
  provesAbsence: boolean,
): boolean {
  if (seen && !provesAbsence) return true;
  const wanted = serviceFilter(network, network.ports);
  return wanted ? filterOps(network.namespace, wanted, seen).length === 0 : seen === undefined;
}

/** What the table has when all is done. */
export function planServices(
  network: DesiredNetwork,
  ports: readonly DesiredPort[],
  { seen, provesAbsence }: { readonly seen: Filter | undefined; readonly provesAbsence: boolean },
  steps: Steps,
  owner: Owner,
): Filter | undefined {
  const at = network.namespace;
  const wanted = serviceFilter(network, ports);
  // Before the view is whole it is not known which there are, nor who is behind them.
  if (seen && !provesAbsence) return seen;
  if (!wanted) {
    if (seen) steps.add('set-up', owner, 'remove', { kind: 'delete-filter', at, family: 'inet' });
    return undefined;
  }
  if (!seen) steps.add('set-up', owner, 'create', ...settings(at));
  const ops = filterOps(at, wanted, seen);
  if (ops.length > 0) steps.add('set-up', owner, seen ? 'update' : 'create', ...ops);
  const gone = seen ? FAMILIES.flatMap((family) => without(seen, wanted, BACKENDS[family])) : [];
  // What is not connected goes on to whoever it went to last, for as long as somebody sends.
  if (gone.length > 0)
    steps.add('forget', owner, 'remove', { kind: 'forget-flows', at, addresses: gone, owner: 'went' });
  return asLoaded(wanted);
}

/**
 * What goes out by the link by which it came is no mistake of whoever sent it; and what is first seen in its middle is
 * between others.
 */
function settings(at: string): Op[] {
  const keys = [
    'net.ipv4.conf.all.send_redirects',
    // Of a bridge that is there, and of one that is being made.
    `net.ipv4.conf.${BRIDGE}.send_redirects`,
    'net.ipv4.conf.default.send_redirects',
    'net.netfilter.nf_conntrack_tcp_loose',
  ];
  return keys.map((key) => ({ kind: 'set-sysctl', at, key, value: '0' }));
}

function without(seen: Filter, wanted: Filter, name: string): string[] {
  const of = ({ sets }: Filter) => sets.find((each) => each.name === name)?.elements ?? new Set<string>();
  const rest = of(wanted);
  return [...of(seen)].filter((address) => !rest.has(address));
}

/** One after the other. */
function turns(backends: readonly string[]): string {
  if (backends.length === 1) return backends[0]!;
  return `numgen inc mod ${backends.length} map { ${backends.map((address, nth) => `${nth} : ${address}`).join(', ')} }`;
}

function backendsOf(services: readonly DesiredService[], family: Family): string[] {
  return services.flatMap(({ backends }) => ofFamily(backends, family));
}

function membersOf(services: readonly DesiredService[], family: Family): string[] {
  return services.flatMap(({ members }) => ofFamily(members, family));
}

function familiesOf(network: DesiredNetwork): readonly Family[] {
  return FAMILIES.filter((family) => hasFamily(network, family));
}
