/**
 * What the host's table has of published ports. Whoever calls one of them is sent on to the container, which sees the caller's
 * address; a container that calls one by way of the host comes with the host's, or the answer would go past it. One of
 * another host sees this host's address on its network, for the same reason.
 */
import { type Desired, SERVICE_ADDRESS } from '../host-state.ts';
import type { Family } from '../ip.ts';
import type { FilterChain, FilterSet } from '../packet-filter.ts';
import type { DesiredPublication } from '../publish.ts';
import { chain, DSTNAT, HEADER, SRCNAT, set, ADDRESS_TYPE as TYPE } from './filter.ts';

const NAMES = { 4: 'published', 6: 'published6' } as const;
/** Of those that lead to other hosts. */
const AWAY = { 4: 'away', 6: 'away6' } as const;
const BETWEEN_UPLINKS = 'iifname @uplinks oifname @uplinks';

export interface PublishedRules {
  readonly sets: readonly FilterSet[];
  /** Of chain `forward`, before anything between uplinks is dropped. */
  readonly forward: readonly string[];
  readonly chains: readonly FilterChain[];
}

/** Nothing at all where nothing is published. */
export function publishedRules({ published }: Pick<Desired, 'published'>): PublishedRules {
  if (published.length === 0) return { sets: [], forward: [], chains: [] };
  const families = ([4, 6] as const).filter((family) => published.some((each) => each.family === family));
  const nat = { type: 'nat' } as const;
  const ways = published.map(wayOf);
  const away = published.filter((each) => each.away !== undefined);
  const targets = (name: string, family: Family, all: readonly DesiredPublication[]) =>
    set(
      name,
      [TYPE[family], 'inet_proto', 'inet_service'],
      all
        .filter((each) => each.family === family)
        .map(({ address, protocol, port }) => `${address} ${protocol} ${port}`),
    );
  return {
    sets: [
      ...families.map((family) => targets(NAMES[family], family, published)),
      ...(away.length > 0 ? families.map((family) => targets(AWAY[family], family, away)) : []),
    ],
    forward: [
      ...families.map(
        (family) =>
          `oifname @uplinks ct status dnat ${HEADER[family]} daddr . meta l4proto . th dport @${NAMES[family]} accept`,
      ),
      `${BETWEEN_UPLINKS} ct status dnat ct direction reply accept`,
    ],
    chains: [
      { ...chain('published', 'prerouting', DSTNAT, 'accept', ways), ...nat },
      // What the host itself calls.
      { ...chain('calling', 'output', DSTNAT, 'accept', ways), ...nat },
      {
        ...chain('around', 'postrouting', SRCNAT - 1, 'accept', [
          ...new Set(away.map(returning)),
          `${BETWEEN_UPLINKS} ct status dnat masquerade`,
        ]),
        ...nat,
      },
    ],
  };
}

/** Loopback's addresses are the host's alone: an answer from elsewhere to one of them would be dropped. */
function wayOf({ family, hostAddress, hostPort, protocol, address, port }: DesiredPublication): string {
  const header = HEADER[family];
  const to = family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
  const at = hostAddress === undefined ? everywhere(family) : `${header} daddr ${hostAddress}`;
  return `${at} ${protocol} dport ${hostPort} dnat ${header} to ${to}`;
}

/** So that the answer comes back to this host. */
function returning({ family, away }: DesiredPublication): string {
  const header = HEADER[family];
  const isAway = `${header} daddr . meta l4proto . th dport @${AWAY[family]}`;
  return `oifname "${away?.link}" ct status dnat ${isAway} snat ${header} to ${away?.source}`;
}

function everywhere(family: Family): string {
  const but = family === 4 ? `{ 127.0.0.0/8, ${SERVICE_ADDRESS} }` : '::1';
  return `fib daddr type local ${HEADER[family]} daddr != ${but}`;
}
