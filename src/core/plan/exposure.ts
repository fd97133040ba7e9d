/**
 * What the bridge's own table has of the host as an endpoint (docs/adr/0036-the-host-is-an-endpoint.md). What comes for its MAC is
 * handed to the bridge itself, which routes it to the host; what the host sends bears that MAC, so that other hosts take it for
 * an endpoint's and not for a gateway's.
 */
import type { DesiredNetwork } from '../host-state.ts';
import { familyOfAddress, isIpv4 } from '../ip.ts';
import type { FilterChain } from '../packet-filter.ts';
import { chain, EARLY, HEADER, RAW } from './filter.ts';
import { gatewayMac } from './naming.ts';

/** Hands a frame to the host's end of the bridge, whomever it was for. */
export function toBridge(network: DesiredNetwork): string {
  return `ether daddr set ${gatewayMac(network)} meta pkttype set host`;
}

export function exposureChains(network: DesiredNetwork): readonly FilterChain[] {
  const { exposed } = network;
  if (!exposed) return [];
  const { addresses, mac } = exposed;
  const hasIpv6 = addresses.some((address) => !isIpv4(address));
  return [
    // After what a container may send was decided, and after the ways of services.
    chain('inward', 'prerouting', RAW + 20, 'accept', [
      // Whether it is still there is asked of the tunnel's device, as of everybody.
      ...(hasIpv6 ? ['icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept'] : []),
      // To nothing else by this MAC: the host would be a router for whoever is on the network.
      ...addresses.map(
        (address) =>
          `ether daddr ${mac} ${HEADER[familyOfAddress(address)]} daddr ${address} ${toBridge(network)} accept`,
      ),
    ]),
    chain(
      'outward',
      'output',
      EARLY + 10,
      'accept',
      addresses.map((address) => `${HEADER[familyOfAddress(address)]} saddr ${address} ether saddr set ${mac}`),
    ),
  ];
}
