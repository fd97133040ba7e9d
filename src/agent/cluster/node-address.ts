/** Which of a host's addresses the other members shall use. Never guessed: one candidate, or the user says. */
import { kindOf } from '../../core/cidr.ts';
import { OverlaydError } from '../../core/errors.ts';
import { type HostAddress, isInnerLink } from '../../core/host-facts.ts';
import { isIpv4, requireIp } from '../../core/ip.ts';

type OfLink = Pick<HostAddress, 'link' | 'address'>;

/**
 * `requested`: an IP of this host, the name of a link with one IPv4 address, or empty for the only candidate. `flag`
 * is the option that said so. Throws `invalid-address` listing the choices.
 */
export function chooseAddress(addresses: readonly OfLink[], requested: string, flag: string): string {
  if (requested === '') return chooseOnly(addresses, flag);
  if (isIpv4(requested)) {
    if (addresses.some(({ address }) => address === requested)) return requested;
    throw invalid(`${flag}: ${requested} is not an address of this host; it has ${list(addresses)}`);
  }
  const ofLink = addresses.filter(({ link }) => link === requested);
  if (ofLink.length === 1) return ofLink[0]!.address;
  if (ofLink.length > 1) throw invalid(`${flag}: ${requested} has several addresses, choose one: ${list(ofLink)}`);
  throw invalid(
    `${flag}: "${requested}" is neither an IPv4 address nor a link with one; choose from ${list(addresses)}`,
  );
}

function chooseOnly(addresses: readonly OfLink[], flag: string): string {
  const isLoopback = (address: string) => kindOf(requireIp(address, 'address')) === 'loopback';
  const candidates = addresses.filter(({ link, address }) => !isInnerLink(link) && !isLoopback(address));
  if (candidates.length === 1) return candidates[0]!.address;
  if (candidates.length > 1) {
    throw invalid(
      `this host has several addresses; choose with ${flag} the one that members reach: ${list(candidates)}`,
    );
  }
  throw invalid(`no address found that other hosts could reach; give it with ${flag} (there is ${list(addresses)})`);
}

function list(addresses: readonly OfLink[]): string {
  return addresses.map(({ link, address }) => `${address} (${link})`).join(', ') || 'none';
}

function invalid(message: string): OverlaydError {
  return new OverlaydError('invalid-address', message);
}
