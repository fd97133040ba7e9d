/**
 * What another firewall of the host does to our packets, told by counting: our table sees them before all others and
 * again after all others. Who drops, and by which tool it was told to, makes no difference.
 */

import type { PacketsBySource } from './strays.ts';

/** Packets so far, before and after the tables of others. */
export interface Way {
  readonly before: number;
  readonly after: number;
}

export interface Passage {
  /** VXLAN from members. */
  readonly data: Way;
  /** From containers to the outside. */
  readonly out: Way;
  /** To containers, by published ports. */
  readonly in: Way;
  /** VXLAN in clear, of encrypted networks, which was dropped. */
  readonly strays: PacketsBySource;
}

export type WayName = 'data' | 'out' | 'in';

/** Programs that write firewalls, if they are known by what they write. */
export type Firewall = 'firewalld' | 'ufw' | 'docker' | 'iptables-legacy';

const NAMES: Readonly<Record<Firewall, string>> = {
  firewalld: 'firewalld',
  ufw: 'ufw',
  docker: "Docker's firewall (policy DROP of its FORWARD chain)",
  'iptables-legacy': 'a rule of iptables-legacy, which `iptables -S` and `nft` do not show,',
};

/** So many packets and none that passed are no chance. */
const MANY = 5;

/** One way's state: what was counted when something last passed, and whether nothing does. */
export interface WayState {
  readonly since: Way;
  readonly blocked: boolean;
}

export function follow(state: WayState | undefined, now: Way): WayState {
  // A table that was written anew counts from nothing.
  if (!state || now.before < state.since.before || now.after < state.since.after)
    return { since: now, blocked: state?.blocked ?? false };
  if (now.after > state.since.after) return { since: now, blocked: false };
  return { since: state.since, blocked: state.blocked || now.before - state.since.before >= MANY };
}

/** In words, with the command that mends it. `port`: of the data path. */
export function describeBlocked(way: WayName, firewall: Firewall | undefined, port: number): string {
  const mend = firewall && MENDS[way][firewall];
  const who = firewall && mend ? NAMES[firewall] : "this host's firewall";
  const how = mend ? `run ${mend(port)}` : MENDS[way].other(port);
  const none = `of the last ${MANY} packets or more none passed`;
  const all = 'where a rule of yours is to do that, nothing is wrong';
  switch (way) {
    case 'data':
      return `${who} drops every VXLAN packet of other members (${port}/udp), so names resolve and nothing gets through: ${how}`;
    case 'out':
      return `${who} drops what containers send out of this host, ${none}: ${how}; ${all}, and \`--internal\` networks need none`;
    case 'in':
      return `${who} drops what callers send to published ports of containers here, ${none}: ${how}; ${all}`;
  }
}

/** `insert`: of iptables; `input` or `forward` rules that let our packets pass. */
const accepting = (program: string, ...rules: readonly string[]) =>
  `\`${rules.map((rule) => `${program} -I ${rule} -j ACCEPT`).join(' && ')}\``;
const input = (port: number) => `INPUT -p udp --dport ${port}`;
/** Into links of overlayd and out of them: what is said in one direction is answered in the other. */
const BOTH_WAYS = ['-i ovl+', '-o ovl+'] as const;
const forwarded = (program: string, chain: string) =>
  accepting(program, ...BOTH_WAYS.map((link) => `${chain} ${link}`));
const ZONE = '`firewall-cmd --permanent --zone=trusted --add-interface=ovl+ && firewall-cmd --reload`';

type Mend = (port: number) => string;

/** Of those that may be in the way: Docker's drops what is forwarded alone. */
const MENDS: Readonly<Record<WayName, Readonly<Partial<Record<Firewall, Mend>>> & { readonly other: Mend }>> = {
  data: {
    firewalld: (port) => `\`firewall-cmd --permanent --add-port=${port}/udp && firewall-cmd --reload\``,
    ufw: (port) => `\`ufw allow ${port}/udp\``,
    'iptables-legacy': (port) => accepting('iptables-legacy', input(port)),
    other: (port) => `accept ${port}/udp from the members in its input rules (\`nft list ruleset\`, \`iptables -S\`)`,
  },
  out: {
    firewalld: () => ZONE,
    ufw: () => '`ufw route allow in on ovl4096` for each link that `ip -br link | grep ^ovl` lists',
    docker: () => forwarded('iptables', 'DOCKER-USER'),
    'iptables-legacy': () => forwarded('iptables-legacy', 'FORWARD'),
    other: () =>
      'accept what comes in through `ovl*` links, and answers to it, in its forward rules (`nft list ruleset`, `iptables -S FORWARD`)',
  },
  in: {
    firewalld: () => ZONE,
    ufw: () => '`ufw route allow out on ovl4096` for each link that `ip -br link | grep ^ovl` lists',
    docker: () => forwarded('iptables', 'DOCKER-USER'),
    'iptables-legacy': () => forwarded('iptables-legacy', 'FORWARD'),
    other: () =>
      'accept what goes out by `ovl*` links, and answers to it, in its forward rules (`nft list ruleset`, `iptables -S FORWARD`)',
  },
};
