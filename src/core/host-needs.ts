/** What overlayd needs of a host besides the right to use it, and what is said where it lacks. */

const NEEDS = {
  namespaces: needOf('network namespaces', 'every network', 'a kernel with CONFIG_NET_NS'),
  broadcast: {
    what: 'the capability CAP_NET_BROADCAST for the agent',
    needs: 'word of what changes in networks',
    mend: 'install deploy/overlayd.service again, `systemctl daemon-reload`, and restart the agent; until then changes are looked for every few seconds',
  },
  vxlan: moduleOf('VXLAN devices', 'every network', 'vxlan'),
  bridge: moduleOf('bridges', 'every network', 'bridge'),
  veth: moduleOf('veth pairs', 'every container', 'veth'),
  'locked-ports': needOf('locked ports of bridges', 'every container', 'Linux 5.18 or newer'),
  libnftables: {
    what: 'the library libnftables.so.1',
    needs: 'every network',
    mend: 'install it (`apt-get install libnftables1`)',
  },
  nftables: moduleOf('nftables', 'every network', 'nf_tables'),
  'nftables-bridge': needOf('nftables for bridges', 'every network', 'a kernel with CONFIG_NF_TABLES_BRIDGE'),
  limit: moduleOf('limits of nftables', 'a network with `-o multicast=true`', 'nft_limit'),
  fib: moduleOf('nftables expressions of the routing table (fib)', "the host's filter", 'nft_fib_ipv4 nft_fib_inet'),
  conntrack: moduleOf('connection tracking for nftables', "the host's filter", 'nf_conntrack nft_ct'),
  nat: moduleOf('address translation for nftables', 'the way out of networks', 'nft_chain_nat nft_masq'),
  ipv6: {
    what: 'IPv6',
    needs: 'every network and every member with an address of IPv6',
    mend: 'start the kernel without ipv6.disable=1, or one with CONFIG_IPV6',
  },
  'conntrack-netlink': moduleOf(
    'connection tracking by netlink',
    'every address that is given anew',
    'nf_conntrack_netlink',
  ),
} as const;

export type Need = keyof typeof NEEDS;

/** What is no need of everybody's. */
export interface Wanted {
  readonly ipv6: boolean;
}

export interface Lack {
  readonly need: Need;
  /** Of whoever refused it. */
  readonly words: string;
}

/** In words, with what to do. */
export function describeLack({ need, words }: Lack): string {
  const { what, needs, mend } = NEEDS[need];
  return `this host lacks ${what}, which ${needs} needs: ${mend}${words === '' ? '' : ` (${words})`}`;
}

function needOf(what: string, needs: string, kernel: string) {
  return { what, needs, mend: `start ${kernel}` };
}

/** `modules`: separated by spaces. */
function moduleOf(what: string, needs: string, modules: string) {
  const load = `load what has it (\`modprobe -a ${modules}\`)`;
  return { what, needs, mend: `${load}, or start a kernel that has it (Debian: linux-image-amd64, or -arm64)` };
}
