import { lookup } from 'node:dns/promises';
import { readdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { kindOf } from '../../core/cidr.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { BindProblem, HostAddress, PortBinding, Underlay, Unfit } from '../../core/host-facts.ts';
import { LOOPBACK, ROUTE_PROTOCOL } from '../../core/host-state.ts';
import { familyOf, parseIp } from '../../core/ip.ts';
import { isNetworkNamespace, isUplink } from '../../core/plan/naming.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { LinkAddress, RoutingAnswer, RoutingQuestion, Way } from '../kernel/host-routing.ts';
import * as ifa from '../netlink/uapi/if-addr.ts';
import { RTN_LOCAL, RTPROT_KERNEL, RTPROT_RA } from '../netlink/uapi/rtnetlink.ts';
import { findBindProblem } from './port-binding.ts';

export interface HostFactsDeps extends Pick<HostFacts, 'nameServers'> {
  /** Asks the kernel of the network namespace that is meant. */
  readonly routing: (question: RoutingQuestion) => Promise<RoutingAnswer>;
}

/** Throws what `routing` throws, when the kernel does not tell. */
export function createHostFacts({ routing, nameServers }: HostFactsDeps): HostFacts {
  return {
    bindProblem,
    bootId: async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    hostname: () => hostname(),

    async addresses() {
      const { addresses } = await routing({ addresses: true });
      return addresses.filter(({ link }) => !isUplink(link)).map(addressOf);
    },

    async links() {
      return (await routing({})).links.map(({ name }) => name);
    },

    async routes() {
      const { routes } = await routing({ routes: true });
      return routes
        .filter(({ link, protocol }) => String(protocol) !== ROUTE_PROTOCOL && !isUplink(link))
        .map(({ destination, prefix, link, protocol, direct, gateways }) => ({
          destination: `${destination}/${prefix}`,
          ...{ link, gateways: gateways.filter((gateway) => !isLinkLocal(gateway)) },
          // What a router has said to be on the link (RFC 4861, 4.6.2), whoever listened to it.
          onLink: direct && (protocol === RTPROT_KERNEL || protocol === RTPROT_RA),
        }));
    },

    nameServers,

    async linksTo(addresses) {
      const { ways } = await routing({ ways: addresses.map((to) => ({ to })) });
      // Of IPv6 the kernel names the link that has the address.
      const linkOf = ({ type, link }: Way) => (type === RTN_LOCAL ? LOOPBACK : link);
      return new Map(addresses.flatMap((address, at) => (ways[at] ? [[address, linkOf(ways[at])] as const] : [])));
    },

    async lookUp(hostName) {
      const found = await lookup(hostName, { all: true }).catch(() => []);
      return found.map(({ address }) => address).sort();
    },

    async underlay(source, peers) {
      const family = familyOf(source);
      const asked = peers.filter((peer) => familyOf(peer) === family).map((to) => ({ to, source }));
      const { addresses, links, ways } = await routing({ addresses: true, ways: asked });
      const mtuOf = (name: string) => {
        const { mtu, mtu6 } = links.find((link) => link.name === name) ?? {};
        return family === 6 ? (mtu6 ?? mtu) : mtu;
      };
      let least: Underlay | undefined;
      for (const way of ways) {
        const mtuBytes = way && way.type !== RTN_LOCAL ? (way.mtu ?? mtuOf(way.link)) : undefined;
        if (mtuBytes === undefined || (least && least.mtuBytes <= mtuBytes)) continue;
        least = { mtuBytes, limit: `${way?.mtu === undefined ? 'link' : 'a route by'} ${way?.link}` };
      }
      if (least) return least;
      const own = addresses.find(({ address }) => address === source);
      const mtuBytes = own && mtuOf(own.link);
      if (mtuBytes !== undefined) return { mtuBytes, limit: `link ${own?.link}` };
      throw new OverlaydError('invalid-address', `${source} is not an address of this host; \`ip address\` lists them`);
    },
  };
}

function addressOf({ flags, ...address }: LinkAddress): HostAddress {
  const unfit = familyOf(address.address) === 6 ? unfitness(flags) : undefined;
  return { ...address, ...(unfit && { unfit }) };
}

function isLinkLocal(address: string): boolean {
  const ip = parseIp(address);
  return ip?.family === 6 && kindOf(ip) === 'link-local';
}

function unfitness(flags: number): Unfit | undefined {
  if (flags & ifa.IFA_F_DADFAILED) return 'duplicate';
  if (flags & ifa.IFA_F_TENTATIVE) return 'tentative';
  if (flags & ifa.IFA_F_TEMPORARY) return 'temporary';
  return flags & ifa.IFA_F_DEPRECATED ? 'deprecated' : undefined;
}

async function bindProblem(socket: PortBinding): Promise<BindProblem | undefined> {
  const problem = await findBindProblem(socket);
  if (problem?.kind !== 'in-use' || problem.by !== 'kernel' || socket.transport !== 'udp') return problem;
  // Networks of ours from before the identity was lost: a member takes them away by itself.
  const namespaces = await readdir('/run/netns').catch(() => []);
  return namespaces.some(isNetworkNamespace) ? undefined : problem;
}
