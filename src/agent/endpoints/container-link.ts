/** What an endpoint's link is called inside of its container. */
import type { ContainerRef } from '../../core/container.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { NamespaceState } from '../../core/host-state.ts';
import { networkSettings } from '../../core/network-options.ts';
import type { EndpointRecord, NetworkRecord } from '../../core/records.ts';

/** What a container is called that nobody named. */
export function defaultName(container: ContainerRef): string {
  const [kind, rest = ''] = container.text.split(/:(.*)/s);
  return kind === 'pid' ? `pid-${rest}` : rest.slice(rest.lastIndexOf('/') + 1);
}

/** `eth0`, `eth1`, … in join order, or with the network's own prefix, unless asked. */
export function chooseLink(
  { links }: NamespaceState,
  network: NetworkRecord,
  asked: string | undefined,
  container: ContainerRef,
): string {
  if (asked !== undefined) {
    if (!links.has(asked)) return asked;
    throw new OverlaydError(
      'endpoint-exists',
      `interface ${asked} already exists in ${container.text}; choose another --ifname`,
    );
  }
  const prefix = networkSettings(network).interfacePrefix;
  for (let i = 0; ; i++) if (!links.has(`${prefix}${i}`)) return `${prefix}${i}`;
}

/** What the endpoint's link is called there; undefined: there is none. Two networks may have given a container one MAC. */
export function foundLink(
  { addresses, links }: NamespaceState,
  { addresses: own, mac }: Pick<EndpointRecord, 'addresses' | 'mac'>,
): string | undefined {
  const ofMac = [...links.values()].filter((link) => link.mac === mac).map(({ name }) => name);
  const isOwn = (name: string) =>
    addresses.some(({ address, link }) => link === name && own.some(({ ip }) => ip === address));
  return ofMac.find(isOwn) ?? ofMac[0];
}
