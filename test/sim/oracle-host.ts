/** Of the oracle: what is in a host's own namespace. */
import { expect } from 'vitest';
import { exposedOn, networksOn } from './oracle-networks.ts';
import type { SimulatedHost } from './simulated-cluster.ts';
import { isEncrypted, isIpv6, type Truth } from './truth.ts';

/** Who is let in, what passes by, and the ways to and from the networks that have one. */
export function checkHost(host: SimulatedHost, truth: Truth): void {
  const { id, name } = host.record;
  const { addresses, filter, links, routes } = host.kernel.machine.hostSnapshot();
  const others = [...truth.members.values()].filter((node) => node.id !== id && !node.nat);
  const elements = (set: string) => [...(filter?.sets.find((each) => each.name === set)?.elements ?? [])].sort();
  const both = (set: string) => [...elements(set), ...elements(`${set}6`)].sort();
  expect(both('members'), `VXLAN is let in on ${name}`).toEqual([...new Set(others.map(({ vtep }) => vtep))].sort());
  const called = others.flatMap(({ advertiseAddress, vtep }) => [advertiseAddress, vtep]);
  expect(both('peers'), `members call ${name}`).toEqual([...new Set(called)].sort());
  const encrypted = truth.networks.filter(isEncrypted).map(({ vni }) => String(vni));
  expect(elements('encrypted'), `nothing of these leaves ${name} in clear`).toEqual(encrypted.sort());

  const here = networksOn(host, truth);
  const ofHost = (network: { readonly id: string }) => exposedOn(host, network, truth)?.addresses ?? [];
  const entered = here.filter((network) => !network.internal || ofHost(network).length > 0);
  const names = entered.map(({ vni }) => `ovl${vni}`).sort();
  expect([...links.keys()].sort(), name).toEqual(names);
  expect(elements('uplinks'), name).toEqual(names);
  const sealed = entered.filter(({ internal }) => internal).map(({ vni }) => `ovl${vni}`);
  expect(elements('sealed'), `nothing is forwarded there by ${name}`).toEqual(sealed.sort());
  const own = entered.flatMap((network) => ofHost(network).map(({ ip }) => `${ip} ovl${network.vni}`));
  const has = addresses.filter(({ link }) => link !== 'lo').map(({ address, link }) => `${address} ${link}`);
  expect(has.sort(), `addresses of ${name}`).toEqual(own.sort());
  const ways = routes.map(({ destination, link, source }) => `${destination} ${link} ${source}`).sort();
  const subnets = entered.flatMap((network) =>
    network.subnets.map(({ cidr }) => {
      const source = ofHost(network).find(({ ip }) => isIpv6(ip) === isIpv6(cidr))?.ip;
      return `${cidr} ovl${network.vni} ${source}`;
    }),
  );
  expect(ways, `routes of ${name}`).toEqual(subnets.sort());
  const open = here.filter(({ internal }) => !internal);
  const hidden = open.flatMap(({ options, subnets }) =>
    subnets
      .map(({ cidr }) => cidr)
      .filter((cidr) => {
        const mode = options[`com.docker.network.bridge.gateway_mode_ipv${isIpv6(cidr) ? 6 : 4}`];
        return mode !== 'routed' && options['com.docker.network.bridge.enable_ip_masquerade'] !== 'false';
      }),
  );
  expect(both('subnets'), `masqueraded by ${name}`).toEqual(hidden.sort());
}
