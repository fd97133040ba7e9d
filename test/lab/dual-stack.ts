/** A lab of IPv4 whose hosts have IPv6 besides, and a way out of it. */
import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { until } from './until.ts';

/** The outside world's other address. */
export const OUTSIDE_IPV6 = '2001:db8:ffff::1';
/** The first 64 bits of the hosts' addresses; `1` and up follow, as of IPv4. */
export const UNDERLAY_IPV6 = '2001:db8:77::';

export async function addIpv6({ hosts, internet }: Lab): Promise<void> {
  for (const [host, number] of [...hosts.map((each, i) => [each, i + 1] as const), [internet, 254] as const]) {
    await host.must(['ip', 'address', 'add', `${UNDERLAY_IPV6}${number}/64`, 'dev', await underlayLink(host), 'nodad']);
    if (host !== internet) await host.must(['ip', '-6', 'route', 'add', 'default', 'via', `${UNDERLAY_IPV6}254`]);
  }
  await internet.must(['ip', 'address', 'add', `${OUTSIDE_IPV6}/128`, 'dev', 'lo', 'nodad']);
  // A host looks for its neighbours from its link-local address, and not before that is sure to be its own (`ndisc_solicit`).
  for (const host of [...hosts, internet]) {
    const asks = ['ip', '-6', '-o', 'address', 'show', 'dev', await underlayLink(host), 'tentative'];
    await until('link-local addresses to be in use', async () => (await host.must(asks)).trim() === '');
  }
}

/** The one with the host's address of IPv4. */
export async function underlayLink(host: Host): Promise<string> {
  return /\d+: (\S+) +inet 10\.77\./.exec(await host.must(['ip', '-o', '-4', 'address', 'show']))![1]!;
}
