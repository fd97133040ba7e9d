/**
 * What a browser may be made to ask for by pages of others, and is refused: names that were turned to this host's address (DNS
 * rebinding), and requests that another site begins. Pure.
 */
import { parseHostPort } from '../core/host-port.ts';
import { familyOf } from '../core/ip.ts';

export interface RequestHeaders {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  /** `Sec-Fetch-Site`, which browsers send and no page can set. */
  readonly site?: string | undefined;
}

/** A page of another site, or a link there. */
export const ELSEWHERE = 'another site asks';

/**
 * In words, why the request is refused; undefined: it is not. A name can be turned to another address, an address cannot: addresses
 * and `localhost` are taken with any port, for a tunnel of ssh has one of its own, and other names where they are given. `names`: in
 * lower case.
 */
export function refusal({ host, origin, site }: RequestHeaders, names: readonly string[]): string | undefined {
  const place = parseHostPort(host ?? '')?.host.toLowerCase();
  if (place === undefined) return 'the request does not say to which host it goes';
  if (familyOf(place) === undefined && place !== 'localhost' && !names.includes(place)) {
    return `the page is not served under the name ${place}: open it by address, or start it with --name ${place}`;
  }
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return ELSEWHERE;
  if (origin !== undefined && !isOf(origin, host!)) return ELSEWHERE;
  return undefined;
}

function isOf(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}
