/**
 * What `doctor` looks at, and what it makes of what it sees. Each judgement is given what was seen, and tells what is wrong with it.
 * Pure.
 */
import type { Drift, PutBack } from './drift/drift.ts';
import type { FindingCode, Found } from './finding.ts';
import { found, suspected } from './finding.ts';
import { describeMillis } from './millis.ts';
import type { PathStatus } from './path/path.ts';
import type { NodeRecord } from './records.ts';
import { Rise } from './rise.ts';

/** In the order in which they are told: what breaks most comes first. */
export const CHECKS = {
  'data path': [
    ...(['data-path-lost', 'data-path-loss', 'network-path-lost', 'checksum-broken'] as const),
    ...(['data-port-filtered', 'sent-in-clear', 'tunnel-failed'] as const),
  ],
  MTU: ['path-mtu', 'mtu-too-large'],
  'gossip port': ['gossip-blocked', 'gossip-unheard', 'member-away'],
  'join port': ['join-blocked'],
  clock: ['clock-skew'],
  'addresses of hosts': ['address-lost', 'needed-address-covered'],
  'way out': ['egress-filtered', 'forwarding-off', 'answers-astray'],
  'published ports': ['published-filtered'],
  kernel: ['host-lacks', 'kernel-refused', 'left-over', 'drift-returns', 'neighbours-overflowed'],
  names: ['names-unanswered'],
  containers: ['container-unknown', 'mac-shared', 'addresses-waiting', 'service-missing'],
  'room in networks': ['network-full', 'pool-full'],
  store: [
    ...(['not-started', 'node-removed', 'store-away', 'store-refused', 'store-alarm', 'store-slow'] as const),
    ...(['store-near-quota', 'store-few-members', 'store-behind', 'store-not-kept', 'key-at-risk'] as const),
  ],
  records: ['record-disputed', 'record-unreadable', 'address-stray'],
  certificates: ['certificate-ending'],
  disk: ['disk-full', 'state-unsaved', 'state-unreadable'],
  versions: ['version-mismatch'],
  'container tools': ['docker-side', 'podman-side', 'incus-side'],
  metrics: ['metrics-unserved'],
} as const satisfies Readonly<Record<string, readonly FindingCode[]>>;

export type CheckName = keyof typeof CHECKS;

export interface Check {
  readonly name: CheckName;
  readonly outcome: 'ok' | 'problem' | 'skipped';
  /** What was seen, or why nothing was looked at. */
  readonly detail: string;
}

/** `seen`: what is said of those that found nothing; `skipped`: why some were not done. */
export function checksOf(
  findings: readonly Found[],
  seen: Partial<Record<CheckName, string>>,
  skipped: Partial<Record<CheckName, string>>,
): Check[] {
  return Object.entries(CHECKS).map(([key, codes]) => {
    const name = key as CheckName;
    const count = findings.filter(({ code }) => (codes as readonly FindingCode[]).includes(code)).length;
    if (count > 0) return { name, outcome: 'problem', detail: count === 1 ? '1 finding' : `${count} findings` };
    const why = skipped[name];
    if (why !== undefined) return { name, outcome: 'skipped', detail: why };
    return { name, outcome: 'ok', detail: seen[name] ?? '' };
  });
}

export interface Seen {
  readonly seen: Partial<Record<CheckName, string>>;
  readonly skipped: Partial<Record<CheckName, string>>;
}

/** Of the paths that were looked at; `none`: why there is none. */
export function pathsSeen(
  paths: readonly { readonly skipped: string | undefined; readonly status: PathStatus | undefined }[],
  none: string,
): Seen {
  const looked = paths.flatMap(({ skipped, status }) => (skipped === undefined && status ? [status] : []));
  if (looked.length === 0) {
    const why = paths[0]?.skipped ?? none;
    return { seen: {}, skipped: { 'data path': why, MTU: why } };
  }
  const hosts = looked.length === 1 ? '1 host' : `${looked.length} hosts`;
  const left = paths.length - looked.length;
  const others = left === 0 ? '' : `, ${left} not looked at (${paths.find(({ skipped }) => skipped)?.skipped ?? ''})`;
  const slowest = describeMillis(Math.max(...looked.map(({ roundTripMs }) => roundTripMs)));
  const sizes = looked.flatMap(({ state, mtu }) => (state !== 'lost' && mtu > 0 ? [mtu] : []));
  const ofPath = `${hosts}, ${slowest} there and back${others}`;
  return sizes.length === 0
    ? { seen: { 'data path': ofPath }, skipped: { MTU: 'no packet came back' } }
    : { seen: { 'data path': ofPath, MTU: `packets of ${Math.min(...sizes)} bytes pass` }, skipped: {} };
}

/** Of plain networks and of encrypted ones: each is told where it was looked at. */
export function bothPathsSeen(plain: Seen, encrypted: Seen): Seen {
  if (Object.keys(encrypted.seen).length === 0) return plain;
  const label = (name: CheckName) => `encrypted: ${encrypted.seen[name]}`;
  const seen = { ...plain.seen };
  for (const name of Object.keys(encrypted.seen) as CheckName[])
    seen[name] = seen[name] === undefined ? label(name) : `${seen[name]}; ${label(name)}`;
  const skipped = { ...plain.skipped };
  for (const name of Object.keys(encrypted.seen) as CheckName[]) delete skipped[name];
  return { seen, skipped };
}

/**
 * `known`: of how many pairs of a network and a host it is known whether the network's own VNI passes; `why`: in words, why of the one
 * network that was asked for it is not.
 */
export function withNetworks({ seen, skipped }: Seen, known: number, why: string | undefined): Seen {
  const before = seen['data path'];
  if (before === undefined || (known === 0 && why === undefined)) return { seen, skipped };
  const what =
    known === 0 ? `its VNI was not looked at: ${why}` : `${known} ${known === 1 ? 'way' : 'ways'} by VNI of networks`;
  return { seen: { ...seen, 'data path': `${before}; ${what}` }, skipped };
}

// ---------------------------------------------------------------- judgements

export interface KnockedPort {
  readonly name: string;
  readonly port: number;
  /** In words, why nothing answered; undefined: something did. */
  readonly problem: string | undefined;
}

export function judgePort(which: 'gossip' | 'join', { name, port, problem }: KnockedPort): Found[] {
  if (problem === undefined) return [];
  const purpose = { gossip: 'members hear each other by it', join: 'hosts join by it' }[which];
  const text = `the ${which} port of ${name} does not answer this host (${purpose}): ${problem}; open ${port}/tcp between the two, and see that the agent runs there`;
  return found(`${which}-blocked`, [text], name);
}

export interface DiskRoom {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

const MIB = 2 ** 20;
/** The state file, and etcd's where this host keeps the store, are written whole before the former goes. */
const LITTLE_BYTES = 64 * MIB;
const NONE_BYTES = 4 * MIB;

export function judgeDisk({ freeBytes, totalBytes }: DiskRoom, path: string): Found[] {
  if (freeBytes >= LITTLE_BYTES) return [];
  const mib = (bytes: number) => `${Math.floor(bytes / MIB)} MiB`;
  const text = `the disk of ${path} has ${mib(freeBytes)} of ${mib(totalBytes)} left: what this host knows, and the store where it keeps it, are written there; make room`;
  return freeBytes < NONE_BYTES ? found('disk-full', [text]) : [suspected('disk-full', text)];
}

/** How often the kernel's tables of neighbours had no place for one more, since the host's start; undefined where it does not tell. */
export interface NeighbourOverflows {
  readonly ipv4: number | undefined;
  readonly ipv6: number | undefined;
}

/** Of what they were before they were first looked at nobody knows when it was, nor whether it was mended since. */
export class NeighbourTables {
  readonly #rises = { ipv4: new Rise(), ipv6: new Rise() };

  /** `now`: by the wall clock. */
  note(overflows: NeighbourOverflows, now: number): void {
    for (const family of ['ipv4', 'ipv6'] as const) this.#rises[family].note(overflows[family], now);
  }

  findings(): Found[] {
    return Object.entries(this.#rises).flatMap(([family, { count, firstMs }]) => {
      if (count === 0) return [];
      const setting = `net.${family}.neigh.default.gc_thresh3`;
      const times = count === 1 ? 'once' : `${count} times`;
      const text = `the kernel's table of neighbours (${family === 'ipv4' ? 'IPv4' : 'IPv6'}) was full ${times} within the last minutes: hosts that had no place in it were not reached; raise ${setting} (and gc_thresh2), as with \`sysctl -w ${setting}=8192\``;
      return found('neighbours-overflowed', [text]).map((each) => ({ ...each, since: firstMs }));
    });
  }
}

export interface PoolUse {
  readonly network: string;
  readonly total: number;
  readonly free: number;
  readonly family: 4 | 6;
}

const NEARLY_FULL = 0.1;

export function judgePool({ network, total, free, family }: PoolUse): Found[] {
  if (total === 0 || free > total * NEARLY_FULL) return [];
  const text = `network ${network} has ${free} of ${total} addresses of IPv${family} left: give it another subnet, \`overlayd network subnet add ${network} CIDR\``;
  return found('pool-full', [text], network);
}

export const SLOW_STORE_MS = 500;

/** `problem`: why there was no answer by then, in words. */
export function judgeStoreSpeed(tookMs: number, problem?: string): Found[] {
  if (tookMs < SLOW_STORE_MS) return [];
  const took = `${problem === undefined ? '' : 'more than '}${describeMillis(tookMs)}`;
  const why = problem === undefined ? '' : ` (${problem})`;
  const text = `etcd took ${took} for one question${why}: commands wait for it as long; look at its disk (it waits for fsync) and at the network to it`;
  return [suspected('store-slow', text)];
}

export interface StoreFile {
  readonly name: string;
  readonly bytes: number;
  readonly quotaBytes: number;
}

const NEAR_QUOTA = 0.8;

export function judgeStoreFile({ name, bytes, quotaBytes }: StoreFile): Found[] {
  if (bytes < quotaBytes * NEAR_QUOTA) return [];
  const mib = (of: number) => Math.round(of / MIB);
  const text = `etcd of ${name} has ${mib(bytes)} MiB of the ${mib(quotaBytes)} MiB that it may have: when it is full all changes are refused. The agents remove history after an hour, and give its room back; so look at what goes on changing (\`overlayd events --since 1h\`), remove networks, names and containers that nobody needs, or move to an etcd of your own with a larger quota, \`overlayd store move --etcd …\``;
  return found('store-near-quota', [text], name);
}

/** `hosts`: members that have not left. */
export function judgeKeepers(keepers: number, wanted: number, hosts: number, outlook: string): Found[] {
  const possible = Math.min(wanted, hosts);
  if (keepers === 0 || keepers >= possible) return [];
  const why = outlook === '' ? 'install etcd (`apt-get install etcd-server`) on another host' : outlook;
  const text = `${keepers} of ${wanted} hosts that are wanted ${keepers === 1 ? 'keeps' : 'keep'} the store, so the cluster bears the loss of fewer: ${why}`;
  return [suspected('store-few-members', text)];
}

type Versioned = Pick<NodeRecord, 'name' | 'version' | 'left'>;

export function judgeVersions(nodes: Iterable<Versioned>, own: string, ofCommand: string): Found[] {
  const others = [...nodes].filter(({ left, version }) => !left && version !== own);
  const all = others.map(({ name, version = 'an older release' }) =>
    suspected(
      'version-mismatch',
      `${name} runs overlayd ${version}, this host ${own}: install the same release on both`,
      name,
    ),
  );
  if (ofCommand !== '' && ofCommand !== own) {
    const text = `this command is overlayd ${ofCommand}, the agent ${own}: restart the agent (\`systemctl restart overlayd\`), which interrupts nothing`;
    all.push(suspected('version-mismatch', text));
  }
  return all;
}

/** `networks`: names of those whose containers here have a way out. */
export function judgeForwarding(isForwarding: boolean, networks: readonly string[]): Found[] {
  if (isForwarding || networks.length === 0) return [];
  const text = `net.ipv4.ip_forward is 0 on this host, so containers of ${networks.join(', ')} reach nothing outside: the agent switches it on, and something switches it off (look in /etc/sysctl.d), or does not let it (whether /proc/sys is read-only for it); \`sysctl -w net.ipv4.ip_forward=1\``;
  return found('forwarding-off', [text]);
}

/** Of a name like a network's, which no network has. */
export interface LeftNamespace {
  readonly name: string;
  /** Links in it that are none of ours. */
  readonly foreign: readonly string[];
}

/** `uplinks`: links of the host by such a name. */
export function judgeLeftOvers(namespaces: readonly LeftNamespace[], uplinks: readonly string[]): Found[] {
  const ofNamespaces = namespaces.map(({ name, foreign }) => {
    const why =
      foreign.length > 0
        ? `it has links that are not overlayd's (${foreign.join(', ')}), so the agent leaves it alone: whoever made it should use another name; if nobody needs it, \`ip netns delete ${name}\``
        : `the agent removes it by itself when nothing stands in the way, within seconds; if it stays, a process may hold it (\`ip netns pids ${name}\`)`;
    return suspected('left-over', `the namespace ${name} is of no network that there is: ${why}`, name);
  });
  const ofLinks = uplinks.map((link) => {
    const text = `the link ${link} is of no network that there is: the agent removes its own by itself, within seconds; if it stays, somebody else made it by that name: \`ip link delete ${link}\``;
    return suspected('left-over', text, link);
  });
  return [...ofNamespaces, ...ofLinks];
}

/** `putBack`: what was put back again and again, lately. */
export function judgeDrift(putBack: readonly PutBack<Drift>[]): Found[] {
  const [worst] = putBack.toSorted((a, b) => b.times - a.times);
  if (!worst) return [];
  const { drift, times } = worst;
  const more = putBack.length === 1 ? '' : `, and ${putBack.length - 1} more`;
  const what = `${drift.kind} ${drift.object} (${drift.place}) was put back ${times} times${more}`;
  const text = `something goes on undoing what the agent writes into the kernel: ${what}; find out what manages links and rules of this host besides (NetworkManager, a firewall, a script). \`overlayd drift\` lists what was put back`;
  return found('drift-returns', [text]);
}

/** `strays`: of records of addresses, what is wrong with each, in words. */
export function judgeStrays(strays: readonly string[]): Found[] {
  const [first] = strays;
  if (first === undefined) return [];
  const more = strays.length === 1 ? '' : `, and ${strays.length - 1} more`;
  const text = `etcd holds addresses that are nobody's, or that two say of: ${first}${more}; \`overlayd ipam check\` lists all and what is done about each, \`overlayd ipam repair\` does it`;
  return [suspected('address-stray', text)];
}
