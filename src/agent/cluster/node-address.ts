/**
 * Which of a host's addresses the other members shall use. Never guessed: one candidate, or the user says. Where there are
 * candidates of both families, those of IPv4 come first, unless the host calls a member at an address of IPv6.
 */
import { kindOf } from '../../core/cidr.ts';
import { OverlaydError } from '../../core/errors.ts';
import { type HostAddress, isInnerLink, type Unfit } from '../../core/host-facts.ts';
import { type Family, familyOf, formatIp, type Ip, parseIp, refuseMapped, requireIp } from '../../core/ip.ts';

type OfLink = Pick<HostAddress, 'link' | 'address' | 'unfit'>;

export interface Choice {
  /** The option that said so. */
  readonly flag: string;
  /** Of a host, or a link, that has addresses of both. */
  readonly prefer: Family;
}

const UNFIT: Readonly<Record<Unfit, string>> = {
  temporary: 'is temporary (RFC 8981): the host gives it up within days; name one that stays',
  deprecated: 'is deprecated: the host is about to give it up; name one that stays',
  tentative: 'is not in use yet: the host is finding out whether another one has it; try again in a few seconds',
  duplicate:
    'is not in use, since another host of the link has it (duplicate address detection); give this host another',
};

/**
 * `requested`: an IP of this host, the name of a link with one address, or empty for the only candidate. Throws
 * `invalid-address` listing the choices.
 */
export function chooseAddress(addresses: readonly OfLink[], requested: string, choice: Choice): string {
  if (requested === '') return chooseOnly(addresses, choice);
  const { flag } = choice;
  const ip = parseIp(requested);
  if (ip) return chooseNamed(addresses, ip, flag);
  const ofLink = addresses.filter(({ link }) => link === requested);
  const fit = preferred(ofLink, choice.prefer);
  if (fit.length === 1) return fit[0]!.address;
  if (fit.length > 1) throw invalid(`${flag}: ${requested} has several addresses, choose one: ${list(fit)}`);
  for (const { address, unfit } of ofLink) {
    if (unfit) throw invalid(`${flag}: ${requested} has no address that will do; ${address} ${UNFIT[unfit]}`);
  }
  throw invalid(`${flag}: "${requested}" is neither an IP address nor a link with one; choose from ${list(addresses)}`);
}

function chooseNamed(addresses: readonly OfLink[], ip: Ip, flag: string): string {
  const text = formatIp(ip);
  refuseMapped(ip, text, flag);
  const found = addresses.find(({ address }) => address === text);
  if (found?.unfit) throw invalid(`${flag}: ${text} ${UNFIT[found.unfit]}`);
  if (found) return text;
  if (ip.family === 6 && kindOf(ip) === 'link-local') {
    throw invalid(
      `${flag}: ${text} is link-local, and means another host on each link; choose from ${list(addresses)}`,
    );
  }
  const isWithout = ip.family === 6 && addresses.every(({ address }) => familyOf(address) !== 6);
  const hint = isWithout ? `; it has no IPv6 address at all: give it one, or is IPv6 off there (${IPV6_OFF})?` : '';
  throw invalid(`${flag}: ${text} is not an address of this host; it has ${list(addresses)}${hint}`);
}

const IPV6_OFF = 'ipv6.disable=1 for the kernel, net.ipv6.conf.all.disable_ipv6';

function chooseOnly(addresses: readonly OfLink[], { flag, prefer }: Choice): string {
  const isLoopback = (address: string) => kindOf(requireIp(address, 'address')) === 'loopback';
  const outer = addresses.filter(({ link, address }) => !isInnerLink(link) && !isLoopback(address));
  const candidates = preferred(outer, prefer);
  if (candidates.length === 1) return candidates[0]!.address;
  if (candidates.length > 1) {
    throw invalid(
      `this host has several addresses; choose with ${flag} the one that members reach: ${list(candidates)}`,
    );
  }
  throw invalid(`no address found that other hosts could reach; give it with ${flag} (there is ${list(addresses)})`);
}

/** Those of one family alone, of which there are some. */
function preferred<T extends OfLink>(addresses: readonly T[], prefer: Family): readonly T[] {
  const fit = addresses.filter(({ unfit }) => unfit === undefined);
  const first = fit.filter(({ address }) => familyOf(address) === prefer);
  return first.length > 0 ? first : fit;
}

function list(addresses: readonly OfLink[]): string {
  const words = addresses.map(({ link, address, unfit }) => `${address} (${link}${unfit ? `, ${unfit}` : ''})`);
  return words.join(', ') || 'none';
}

function invalid(message: string): OverlaydError {
  return new OverlaydError('invalid-address', message);
}
