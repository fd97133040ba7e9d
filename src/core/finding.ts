/**
 * What is wrong, as a value: which kind, of what, since when, in words, and what mends such things. `status` and `doctor` render the
 * same findings. The list of codes is closed: `docs/errors.md` documents each. Pure.
 */

/** By code: what mends it. The words of a finding name the command that does it here. */
export const FINDINGS = {
  // the way to the other members
  'data-path-lost': "open the data path's UDP port both ways, on the hosts and on what is between them",
  'data-path-loss': 'look for what loses packets between the two hosts (cable, switch, queue of a tunnel)',
  'network-path-lost': "let what lies between the hosts pass all VNIs of the data path's UDP port, both ways",
  'checksum-broken': "switch checksum offload off on the underlay's device, `ethtool -K DEVICE tx off`",
  'path-mtu': 'raise the MTU of what lies between the hosts, or make the networks with `-o mtu=`',
  'data-port-filtered': "let the host's firewall accept the data path's UDP port from the members",
  'gossip-blocked': 'open the gossip port (TCP) between the two hosts',
  'join-blocked': 'open the join port (TCP) between the two hosts',
  'member-away': 'look at that host; when it is gone for good, `overlayd node rm`',
  'gossip-unheard': "open this host's gossip port (TCP) for the members",
  'clock-skew': 'set the clock that is wrong (NTP)',
  'mtu-too-large': 'make the network anew without the option, or raise the MTU of the underlay',
  'address-lost': 'give the host its address again, or one that can take its place',
  'sent-in-clear': 'look at who sends it',
  'tunnel-failed': 'the words say what WireGuard lacks',
  // this host
  'host-lacks': 'load or install what the words name',
  'egress-filtered': "let the host's forward rules accept what comes from `ovl*` links, and answers to it",
  'published-filtered': "let the host's forward rules accept what goes to `ovl*` links, and answers from there",
  'forwarding-off': 'find out what switches `net.ipv4.ip_forward` off',
  'answers-astray': 'take away the route, rule or address that stands before the way into the network',
  'needed-address-covered': 'use another subnet for the network, or another address for what the host needs',
  'names-unanswered': 'end what holds port 53 there',
  'mac-shared': 'connect one of the two anew',
  'container-unknown': 'disconnect it and connect it anew',
  'kernel-refused': "the kernel's words say what it lacks",
  'left-over': 'end what holds it, or give it another name',
  'neighbours-overflowed': 'raise `net.ipv4.neigh.default.gc_thresh3`, or that of `net.ipv6`',
  'drift-returns': 'find out what else changes links and rules of overlayd, and end it',
  'disk-full': 'make room on the disk of the data directory',
  'state-unsaved': 'make room on the disk, or make it writable',
  'state-unreadable': 'nothing, once etcd answers',
  'network-full': 'connect further containers on other hosts',
  'pool-full': 'another subnet for the network (`overlayd network subnet add`)',
  'service-missing': 'the words say why, and it is tried again',
  'docker-side': 'the words say what to do at the Docker Engine',
  'podman-side': 'the words say what to do at Podman',
  'metrics-unserved': 'end what has the port or the file, or set `metrics_listen`',
  'incus-side': 'the words say what to do at Incus',
  'certificate-ending': 'bring a keeper back; of the CA: `overlayd ca rotate`',
  // the cluster
  'not-started': 'what stands in the way is tried again by itself; mend what the words name',
  'node-removed': 'the words say which command to run here',
  'store-away': 'start etcd, open its port',
  'store-refused': 'the words say what etcd refuses',
  'store-alarm': 'the words say which alarm etcd has raised, and what to do',
  'store-slow': 'give etcd a faster disk, or move the store to hosts that have one',
  'store-near-quota':
    'remove what nobody needs, end what goes on changing, or move to an etcd with a larger quota (`overlayd store move`)',
  'store-few-members': 'install etcd (`etcd-server`) on more hosts; `overlayd store status`',
  'store-behind': 'restore a newer backup, or let hosts claim what they have',
  'store-not-kept': 'mend what keeps this host from keeping the store',
  'key-at-risk': 'let another host get the key of the CA',
  'addresses-waiting': 'nothing, once etcd answers',
  'record-disputed': 'look at the node that the words name',
  'address-stray': '`overlayd ipam repair`, once `overlayd ipam check` shows what is meant',
  'record-unreadable': 'upgrade overlayd on this host',
  'version-mismatch': 'install the same release of overlayd on all hosts',
} as const satisfies Readonly<Record<string, string>>;

export type FindingCode = keyof typeof FINDINGS;

export interface Finding {
  readonly code: FindingCode;
  /** Name of the node, network or thing that it is about; empty: this host. */
  readonly subject: string;
  /** The cause and the next step, in words. */
  readonly text: string;
  /** False: it is likely, and something else may be the cause. */
  readonly certain: boolean;
  /** Since when, by the wall clock, as far as this agent knows. */
  readonly since: number;
}

/** As it is found: since when may not be known there. */
export type Found = Omit<Finding, 'since'> & { readonly since?: number | undefined };

/** Of problems in words, all of one kind. */
export function found(code: FindingCode, texts: Iterable<string>, subject = ''): Found[] {
  return Array.from(texts, (text) => ({ code, subject, text, certain: true }));
}

export function suspected(code: FindingCode, text: string, subject = ''): Found {
  return { code, subject, text, certain: false };
}

/** Since when things are as they are: words may change meanwhile, as those that count. */
export class FindingTimes {
  #since = new Map<string, number>();

  /** `all` that there is at the moment `now`: what is not among it has ended. */
  date(all: readonly Found[], now: number): Finding[] {
    const since = new Map<string, number>();
    const dated = all.map((each) => {
      const key = `${each.code} ${each.subject}`;
      const at = each.since ?? this.#since.get(key) ?? now;
      since.set(key, Math.min(at, since.get(key) ?? at));
      return { ...each, since: at };
    });
    this.#since = since;
    return dated;
  }
}
