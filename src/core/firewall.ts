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
  /** VXLAN in clear, of encrypted networks, which was dropped. */
  readonly strays: PacketsBySource;
}

export type WayName = 'data' | 'out';

/** Programs that write firewalls, if they are known by what they write. */
export type Firewall = 'firewalld' | 'ufw';

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
  const who = firewall ?? "this host's firewall";
  const mend = MENDS[way];
  const how = firewall ? `run ${mend[firewall](port)}` : mend.other(port);
  return way === 'data'
    ? `${who} drops every VXLAN packet of other members (${port}/udp), so names resolve and nothing gets through: ${how}`
    : `${who} drops what containers send out of this host, of the last ${MANY} packets or more none passed: ${how}; where a rule of yours is to do that, nothing is wrong, and \`--internal\` networks need none`;
}

const MENDS: Readonly<Record<WayName, Readonly<Record<Firewall | 'other', (port: number) => string>>>> = {
  data: {
    firewalld: (port) => `\`firewall-cmd --permanent --add-port=${port}/udp && firewall-cmd --reload\``,
    ufw: (port) => `\`ufw allow ${port}/udp\``,
    other: (port) => `accept ${port}/udp from the members in its input rules (\`nft list ruleset\`, \`iptables -S\`)`,
  },
  out: {
    firewalld: () => '`firewall-cmd --permanent --zone=trusted --add-interface=ovl+ && firewall-cmd --reload`',
    ufw: () => '`ufw route allow in on ovl4096` for each link that `ip -br link | grep ^ovl` lists',
    other: () =>
      'accept what comes in through `ovl*` links, and answers to it, in its forward rules (`nft list ruleset`, `iptables -S FORWARD`)',
  },
};
