/**
 * Where a host's addresses went. A node is known by the addresses that it joined with; a DHCP server or an administrator
 * may give the link another one. That is followed where it is certain which one members shall use: the link is known
 * that had the address, and what it has now is the answer, or nothing is. Another link is taken only when the old one has
 * gone (it may have been renamed) and the other is in the same subnet: the end of a VPN's link must not move the cluster's
 * traffic out of the VPN. Nor is an address followed to one of the other family, by which the other members would not reach
 * it. Pure.
 */
import { contains } from '../../core/cidr.ts';
import { type HostAddress, isInnerLink } from '../../core/host-facts.ts';
import { formatHttpUrl, parseHttpUrl } from '../../core/host-port.ts';
import { ALL_ADDRESSES, BITS, type Family, familyOf, parseIp } from '../../core/ip.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Identity } from './identity.ts';

export interface HostLinks {
  /** Names of all links, with addresses or without. */
  readonly links: readonly string[];
  readonly addresses: readonly HostAddress[];
}

export interface Move {
  readonly from: string;
  readonly to: string;
}

export interface Relocation {
  /** With the new addresses, but for its certificate; what could not be followed is as it was. */
  readonly identity: Identity;
  readonly moves: readonly Move[];
  /** In words, what could not be followed, and what to do. */
  readonly problems: readonly string[];
}

/** Where the node's addresses are now. With no moves, `identity` differs by what is known of links at most. */
export function relocate(identity: Identity, host: HostLinks): Relocation {
  const moves: Move[] = [];
  const problems: string[] = [];
  const addressLinks: Record<string, string> = {};
  const { advertiseAddress, vtep, listenAddress } = identity;
  for (const address of new Set([advertiseAddress, vtep, listenAddress])) {
    if (Object.values<string>(ALL_ADDRESSES).includes(address)) continue;
    const link = identity.addressLinks?.[address];
    const found = locate(address, link, host);
    if (found.kind === 'lost') {
      problems.push(problemOf(identity, address, found.reason));
      if (link !== undefined) addressLinks[address] = link;
      continue;
    }
    addressLinks[found.address] = found.link;
    if (found.address !== address) moves.push({ from: address, to: found.address });
  }
  const now = (address: string) => moves.find(({ from }) => from === address)?.to ?? address;
  const { store } = identity;
  const endpoints = store.bundled
    ? withHost(store.endpoints, advertiseAddress, now(advertiseAddress))
    : store.endpoints;
  return {
    identity: {
      ...identity,
      ...{ advertiseAddress: now(advertiseAddress), vtep: now(vtep), listenAddress: now(listenAddress) },
      ...{ addressLinks, store: { ...store, endpoints } },
    },
    moves,
    problems,
  };
}

type Whereabouts =
  | { readonly kind: 'found'; readonly address: string; readonly link: string }
  | { readonly kind: 'lost'; readonly reason: string };

/** `link`: which one had it when it was last seen. */
function locate(address: string, link: string | undefined, { addresses, links }: HostLinks): Whereabouts {
  const there = addresses.find((candidate) => candidate.address === address && candidate.unfit !== 'duplicate');
  if (there) return { kind: 'found', address, link: there.link };
  const before = parseIp(address);
  const family = familyOf(address) ?? 4;
  const fit = addresses.filter((candidate) => !candidate.unfit && familyOf(candidate.address) === family);
  const isNear = (candidate: HostAddress) => {
    const ip = parseIp(candidate.address);
    return before !== undefined && ip !== undefined && contains({ ip, prefix: candidate.prefix }, before);
  };
  if (link !== undefined && links.includes(link)) {
    const onLink = fit.filter((candidate) => candidate.link === link);
    if (onLink.length === 0) return { kind: 'lost', reason: nothingOn(link, family, addresses) };
    // A /32 or /128 beside others is one that moves between hosts, as keepalived's.
    const own = [onLink, onLink.filter(({ prefix }) => prefix < BITS[family]), onLink.filter(isNear)].find(
      ({ length }) => length === 1,
    );
    if (own) return { kind: 'found', address: own[0]!.address, link };
    const names = onLink.map((candidate) => candidate.address).join(', ');
    return {
      kind: 'lost',
      reason: `${link} has ${names} now, and which of them members shall use is not certain; leave it one of them`,
    };
  }
  const [near, ...further] = fit.filter((candidate) => !isInnerLink(candidate.link) && isNear(candidate));
  if (near && further.length === 0) return { kind: 'found', address: near.address, link: near.link };
  const gone = link === undefined ? 'no link' : `its link ${link} is gone, and no other one`;
  return { kind: 'lost', reason: `${gone} has one address of the same subnet; bring the link back` };
}

function nothingOn(link: string, family: Family, addresses: readonly HostAddress[]): string {
  const doubled = addresses.find((candidate) => candidate.link === link && candidate.unfit === 'duplicate');
  if (doubled)
    return `another host of ${link} has ${doubled.address} (duplicate address detection); take it away there`;
  const none = `${link} has no IPv${family} address now`;
  const other = addresses.find((candidate) => candidate.link === link && familyOf(candidate.address) !== family);
  if (!other) return `${none}; give it one`;
  return `${none}, but ${other.address}; members reach each other by addresses of one family: give it one of IPv${family}`;
}

function problemOf({ advertiseAddress, vtep, store }: Identity, address: string, reason: string): string {
  const uses = [
    ...(address === advertiseAddress ? ['members reach it by'] : []),
    ...(address === vtep ? ["containers' traffic goes through"] : []),
  ];
  const use = uses.join(' and ') || 'it listens on';
  // Where the cluster's etcd runs, leaving would be the end of the cluster.
  const anew = store.bundled ? '' : ', or run `overlayd leave` here and join anew with --advertise-addr';
  return `this host has lost the address ${address} that ${use}: ${reason}, or give the host ${address} again${anew}`;
}

/**
 * Where the bundled etcd is reached now, when that is not where this member looks for it: the host that runs it has moved.
 * Undefined when nothing changed, or the store is the user's own.
 */
export function movedStore({ store }: Identity, nodes: Iterable<NodeRecord>): readonly string[] | undefined {
  if (store.bundled || store.certificate !== '' || !store.endpoints.every((url) => url.startsWith('https:'))) return;
  const [holder, ...others] = [...nodes].filter(({ holdsStore, left }) => holdsStore && !left);
  const [endpoint] = store.endpoints;
  if (holder === undefined || others.length > 0 || endpoint === undefined || store.endpoints.length > 1) return;
  const moved = withHost(store.endpoints, parseHttpUrl(endpoint)?.host, holder.advertiseAddress);
  return moved[0] === endpoint ? undefined : moved;
}

function withHost(urls: readonly string[], before: string | undefined, after: string): readonly string[] {
  return urls.map((text) => {
    const url = parseHttpUrl(text);
    return url && url.host === before ? formatHttpUrl({ ...url, host: after }) : text;
  });
}
