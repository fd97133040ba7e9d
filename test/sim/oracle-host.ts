/** Of the oracle: what is in a host's own namespace. */
import { expect } from 'vitest';
import { networksOn } from './oracle-networks.ts';
import type { SimulatedHost } from './simulated-cluster.ts';
import { isEncrypted, isIpv6, type Truth } from './truth.ts';

/** Who is let in, what passes by, and the ways to and from the networks that have one. */
export function checkHost(host: SimulatedHost, truth: Truth): void {
  const { id, name } = host.record;
  const { filter, links, routes } = host.kernel.machine.hostSnapshot();
  const others = [...truth.members.values()].filter((node) => node.id !== id && !node.nat);
  const elements = (set: string) => [...(filter?.sets.find((each) => each.name === set)?.elements ?? [])].sort();
  const both = (set: string) => [...elements(set), ...elements(`${set}6`)].sort();
  expect(both('members'), `VXLAN is let in on ${name}`).toEqual([...new Set(others.map(({ vtep }) => vtep))].sort());
  const called = others.flatMap(({ advertiseAddress, vtep }) => [advertiseAddress, vtep]);
  expect(both('peers'), `members call ${name}`).toEqual([...new Set(called)].sort());
  const encrypted = truth.networks.filter(isEncrypted).map(({ vni }) => String(vni));
  expect(elements('encrypted'), `nothing of these leaves ${name} in clear`).toEqual(encrypted.sort());

  const open = networksOn(host, truth).filter(({ internal }) => !internal);
  const names = open.map(({ vni }) => `ovl${vni}`).sort();
  expect([...links.keys()].sort(), name).toEqual(names);
  expect(elements('uplinks'), name).toEqual(names);
  const ways = routes.map(({ destination, link }) => `${destination} ${link}`).sort();
  const subnets = open.flatMap(({ subnets, vni }) => subnets.map(({ cidr }) => `${cidr} ovl${vni}`));
  expect(ways, `routes of ${name}`).toEqual(subnets.sort());
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
