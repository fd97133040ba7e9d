import type { Host } from './host.ts';

/**
 * Sections of what a host's kernel holds, each sorted, without counters, ages, elements of sets that go by themselves,
 * and the numbers that namespaces give each other in the order in which they come to know of them. The place of probes is left
 * out: each start of an agent makes it anew.
 */
const SCRIPT = String.raw`
show() {
  ip $1 -o link show | sed -E 's/^[0-9]+: //; s/@[^:]*:/:/; s/,LOWER_UP|NO-CARRIER,//g' | cut -d' ' -f1-5
  ip $1 -o addr show scope global | sed -E 's/^[0-9]+: //'
  ip $1 route show table all proto 79
  ip $1 neigh show nud permanent
  bridge $1 fdb show | sed -E 's/ link-netnsid [0-9]+//'
  { if [ -z "$1" ]; then nft -s list ruleset; else ip netns exec "$2" nft -s list ruleset; fi; } | lasting
}
lasting() {
  awk '/^\t}/ { timed = 0 } /flags.*timeout/ { timed = 1 } timed && /elements = / { cut = 1 }
    { sub(/\t# count [0-9]+$/, "") } !cut; cut && /}/ { cut = 0 }'
}
echo "## host"; show '' | sort
for name in $(ip netns list | cut -d' ' -f1 | grep -v '^overlayd-path' | sort); do echo "## $name"; show "-n $name" "$name" | sort; done
find /etc/netns -type f 2>/dev/null | sort
`;

/**
 * Links, addresses, routes, neighbours, FDB rows and rules in every namespace of the host, as text: equal texts, equal
 * kernel state. Read by the ordinary tools, not by the code under test.
 */
export function observeKernel(host: Host): Promise<string> {
  return host.must(['bash', '-c', SCRIPT]);
}

/** Names of the namespaces that overlayd made. */
export async function overlayNamespaces(host: Host): Promise<readonly string[]> {
  const list = await host.must(['ip', 'netns', 'list']);
  return list
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter((name) => name.startsWith('ovl'))
    .sort();
}

/** Links and routes of ours in the host's own namespace; a member keeps its nftables table, so that is no trace. */
export async function overlayTraces(host: Host): Promise<string> {
  const links = await host.must(['bash', '-c', 'ip -o link show | grep -E ": (ovl|vx|br0)" || true']);
  return links + (await host.must(['ip', 'route', 'show', 'table', 'all', 'proto', '79']));
}
