/** What hosts need for encrypted networks, and what is said of those that do not have it. Pure. */
import { OverlaydError } from '../errors.ts';
import type { NodeRecord } from '../records.ts';

/** UDP, where a host listens unless it is told otherwise; the next one is for the exchange of keys. */
export const WIREGUARD_PORT = 51_840;

/** What is to be done on such a host. */
export const WIREGUARD_PACKAGE = 'install the package wireguard-go, or a kernel that has the module wireguard';

/** The members that have nothing for encrypted networks. Of those that have left nobody asks. */
export function withoutOffer(nodes: Iterable<NodeRecord>): readonly NodeRecord[] {
  return [...nodes].filter(({ left, wireguard }) => !left && wireguard === undefined);
}

/** For what needs WireGuard on hosts of these names, of which there is one at least. */
export function lacksWireguard(names: readonly string[]): OverlaydError {
  const hosts = names.length === 1 ? `host ${names[0]}` : `hosts ${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  return new OverlaydError(
    'tool-missing',
    `encrypted networks need WireGuard, which ${hosts} ${names.length === 1 ? 'does' : 'do'} not have: ${WIREGUARD_PACKAGE} there`,
  );
}
