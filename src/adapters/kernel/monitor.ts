/**
 * Tells where the kernel's state changed, by its own events: links, addresses, routes and rows of the host, of the networks'
 * namespaces and of containers, and their nftables tables. The kernel tells of every namespace that has an id in the
 * host's: the networks' have one from the start, a container's gets one before it is first looked into.
 *
 * What happens in a namespace while we write there is most likely our own doing. It is told as that, and not kept back:
 * somebody else may have written in the same moment.
 */
import { HOST, type Place, type Plan, TUNNEL } from '../../core/host-state.ts';
import type { KernelChange } from '../../core/kernel-change.ts';
import { isNetworkNamespace, vniOf } from '../../core/plan/naming.ts';
import { writesOf } from '../../core/plan/rows.ts';
import type { Message } from '../netlink/message.ts';
import { MOST_IGNORED, NetlinkMonitor } from '../netlink/monitor.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/uapi/netlink.ts';
import { NFNLGRP_NFTABLES } from '../netlink/uapi/nfnetlink.ts';
import * as rt from '../netlink/uapi/rtnetlink.ts';
import { EventFilter, type Heard } from './event-filter.ts';
import { createInbox, type Inbox } from './inbox.ts';
import type { Uplink } from './jobs.ts';
import { watchNames } from './name-watch.ts';
import { tunnelIndex } from './namespace-ids.ts';

export interface KernelMonitorDeps {
  /** Looks for the host's ends of networks' links: nobody waits for it. */
  readonly uplinks: () => Promise<readonly Uplink[]>;
  /** A process of the host that is listened to; undefined: this host. */
  readonly hostPid?: number | undefined;
  /** Somebody else changed rules of the host. */
  readonly onFirewallChange?: (() => void) | undefined;
}

const GROUPS = [
  rt.RTNLGRP_LINK,
  rt.RTNLGRP_NEIGH,
  rt.RTNLGRP_IPV4_IFADDR,
  rt.RTNLGRP_IPV4_ROUTE,
  rt.RTNLGRP_IPV4_NETCONF,
  rt.RTNLGRP_IPV6_IFADDR,
  rt.RTNLGRP_IPV6_ROUTE,
  rt.RTNLGRP_IPV6_NETCONF,
  rt.RTNLGRP_NSID,
] as const;

/** The namespace of a container, and the id by which events name it. */
export interface Inside {
  readonly nsid: number;
  readonly path: string;
}

/** The kernel tells of the end of a link up to some 20 ms after it went from its namespace, on a busy machine later. */
const LINK_END_MS = 100;

/** Where namespaces are not heard (see `NetlinkMonitor`), everything is looked at so often. */
const DEAF_MS = 5_000;
/** Where the uplinks could not be looked for. */
const LOOK_AGAIN_MS = 5_000;

export class KernelMonitor {
  readonly #deps: KernelMonitorDeps;
  readonly #filter = new EventFilter();
  readonly #writing = new Map<Place, number>();
  /** Indexes of tunnels whose rows come or go by the thousand, each once for every plan that has them do so. */
  #flooded: readonly number[] = [];
  #monitors: readonly NetlinkMonitor[] = [];
  /** The one of them that hears of rows. */
  #rows: NetlinkMonitor | undefined;
  #inbox: Inbox<KernelChange> | undefined;
  #names: { close(): void } | undefined;
  /** Looks for uplinks that were begun: only the last one counts. */
  #looks = 0;
  readonly #namespace: string | undefined;
  /** Of the host's files. */
  readonly #root: string;

  constructor(deps: KernelMonitorDeps) {
    const { hostPid } = deps;
    this.#deps = deps;
    this.#namespace = hostPid === undefined ? undefined : `/proc/${hostPid}/ns/net`;
    this.#root = hostPid === undefined ? '/' : `/proc/${hostPid}/root`;
  }

  /** The first one says that from then on changes are heard. One at a time listens. Throws as opening sockets does. */
  async *changes(signal: AbortSignal): AsyncGenerator<KernelChange> {
    if (signal.aborted) return;
    const inbox = createInbox<KernelChange>(keyOf, merge);
    this.#inbox = inbox;
    const close = () => inbox.close();
    signal.addEventListener('abort', close, { once: true });
    let deaf: NodeJS.Timeout | undefined;
    try {
      this.#open();
      inbox.push({ kind: 'all' });
      if (!this.#monitors.every(({ everywhere }) => everywhere))
        deaf = setInterval(() => inbox.push({ kind: 'all' }), DEAF_MS).unref();
      yield* inbox.items();
    } finally {
      signal.removeEventListener('abort', close);
      clearInterval(deaf);
      for (const monitor of this.#monitors) monitor.close();
      this.#monitors = [];
      this.#names?.close();
      this.#inbox = undefined;
    }
  }

  /** Changes inside of these containers are told when this resolves: those that come, and whether any came before that. */
  async follow(insides: readonly Inside[]): Promise<void> {
    for (const { nsid } of insides) this.#filter.expect(nsid);
    // What had an id before may have ended: that is still to be heard.
    try {
      await this.#drain();
    } finally {
      for (const { nsid, path } of insides) for (const heard of this.#filter.follow(nsid, path)) this.#tell(heard);
    }
  }

  /** What is heard where the plan writes is its echo, until the returned function is called and what it returns has resolved. */
  echoing(plan: Plan): () => Promise<void> {
    const places = new Set(plan.stages.flatMap(({ ops }) => ops.flatMap(({ op }) => placesOf(op))));
    for (const place of places) this.#writing.set(place, (this.#writing.get(place) ?? 0) + 1);
    const flooded = floodedBy(plan);
    const indexes = flooded.map((namespace) => tunnelIndex(vniOf(namespace)));
    this.#flood([...this.#flooded, ...indexes]);
    return async () => {
      // The kernel has told of all that was written.
      await this.#drain();
      this.#flood(indexes.reduce(without, this.#flooded));
      // Nobody reads what thousands of events tell: a look tells what they came to, whoever wrote them.
      for (const namespace of flooded) this.#push({ kind: 'network', namespace }, namespace);
      const leaving = leftBy(plan);
      this.#written([...places].filter((place) => !leaving.has(place)));
      // Nobody waited for that. Taken for somebody else's doing, it would have all looked at in the next moment.
      if (leaving.size > 0) setTimeout(() => void this.#left(leaving), LINK_END_MS).unref();
    };
  }

  async #left(places: Iterable<Place>): Promise<void> {
    // This turn may be late, and its sockets not read yet.
    await this.#drain();
    this.#written(places);
  }

  async #drain(): Promise<void> {
    await Promise.all(this.#monitors.map((monitor) => monitor.drain()));
  }

  #written(places: Iterable<Place>): void {
    for (const place of places) {
      const others = (this.#writing.get(place) ?? 1) - 1;
      if (others === 0) this.#writing.delete(place);
      else this.#writing.set(place, others);
    }
  }

  #flood(indexes: readonly number[]): void {
    if (indexes.length === 0 && this.#flooded.length === 0) return;
    this.#flooded = indexes;
    const ignored = [...new Set(indexes)].slice(0, MOST_IGNORED);
    this.#rows?.ignoreRows(ignored);
  }

  #open(): void {
    const on = (
      protocol: number,
      groups: readonly number[],
      read: (message: Message, nsid?: number) => readonly Heard[],
    ) =>
      new NetlinkMonitor({
        ...{ protocol, groups, namespace: this.#namespace },
        onMessage: (message, nsid) => {
          for (const heard of read(message, nsid)) this.#tell(heard);
        },
        onLost: () => this.#lost(),
      });
    this.#rows = on(NETLINK_ROUTE, GROUPS, (message, nsid) => this.#filter.route(message, nsid));
    this.#monitors = [
      this.#rows,
      on(NETLINK_NETFILTER, [NFNLGRP_NFTABLES], (message, nsid) => this.#filter.table(message, nsid)),
    ];
    this.#names = watchNames(this.#root, (namespace) => this.#push({ kind: 'network', namespace }, namespace));
    this.#forget();
  }

  /** Nothing is known of before. Of an uplink whose name is not known a later renaming would tell nothing. */
  #forget(): void {
    this.#filter.forget();
    this.#looks += 1;
    const look = this.#looks;
    const know = (uplinks: readonly Uplink[] | undefined) => {
      if (look !== this.#looks) return;
      for (const heard of this.#filter.know(uplinks)) this.#tell(heard);
    };
    // Any link may be one where nobody could look, until somebody can.
    const knowNone = () => {
      know(undefined);
      const again = () => look === this.#looks && this.#inbox && this.#forget();
      setTimeout(again, LOOK_AGAIN_MS).unref();
    };
    void this.#deps.uplinks().then(know, knowNone);
  }

  #tell(heard: Heard): void {
    switch (heard.kind) {
      case 'firewall':
        this.#deps.onFirewallChange?.();
        break;
      case 'network':
        this.#push(heard, heard.namespace);
        break;
      case 'host':
        this.#push(heard, HOST);
        break;
      case 'container':
        this.#push(heard, heard.path);
        break;
      default:
        this.#inbox?.push(heard);
    }
  }

  #push(change: KernelChange & { readonly kind: 'network' | 'host' | 'container' }, place: Place): void {
    this.#inbox?.push(this.#writing.has(place) ? { ...change, echo: true } : change);
  }

  /** Anything may have happened. */
  #lost(): void {
    this.#forget();
    this.#inbox?.push({ kind: 'all' });
    this.#inbox?.push({ kind: 'underlay' });
    this.#deps.onFirewallChange?.();
  }
}

/** A plan that writes more rows than this into a network floods it. */
const FLOOD_ROWS = 512;

/** Namespaces of networks. */
function floodedBy(plan: Plan): readonly string[] {
  const rows = new Map<string, number>();
  for (const { op } of plan.stages.flatMap(({ ops }) => ops)) {
    const isRow = op.kind.endsWith('-fdb') || op.kind.endsWith('-neighbour') || op.kind.endsWith('-rows');
    // With the tunnel go its rows.
    const count = op.kind === 'delete-link' && op.name === TUNNEL ? FLOOD_ROWS + 1 : isRow ? writesOf(op) : 0;
    if (count > 0 && 'at' in op && isNetworkNamespace(op.at)) rows.set(op.at, (rows.get(op.at) ?? 0) + count);
  }
  return [...rows].flatMap(([namespace, count]) => (count > FLOOD_ROWS ? [namespace] : []));
}

/** Where links are deleted. */
function leftBy({ stages }: Plan): ReadonlySet<Place> {
  return new Set(stages.flatMap(({ ops }) => ops.flatMap(({ op }) => (op.kind === 'delete-link' ? [op.at] : []))));
}

/** One of them less. */
function without(all: readonly number[], one: number): readonly number[] {
  const at = all.indexOf(one);
  return all.filter((_, nth) => nth !== at);
}

/** Where an op may be heard of. */
function placesOf(op: Plan['stages'][number]['ops'][number]['op']): readonly Place[] {
  if (op.kind === 'add-veth') return [op.at, op.peer.at];
  return op.kind === 'add-namespace' || op.kind === 'delete-namespace' ? [op.name] : [op.at];
}

/** Beyond so many rows it is quicker to look at all of them. */
const MOST_ROWS = 64;

/** Of the same key. */
function merge(waiting: KernelChange, change: KernelChange): KernelChange {
  if (waiting.kind !== 'network' || change.kind !== 'network') return change;
  if (!waiting.rows) return waiting;
  const rows = change.rows && [...waiting.rows, ...change.rows];
  return { ...change, rows: rows && rows.length <= MOST_ROWS ? rows : undefined };
}

function keyOf(change: KernelChange): string {
  if (change.kind === 'network') return `${change.namespace} ${change.echo ?? false}`;
  if (change.kind === 'container') return `${change.path} ${change.echo ?? false}`;
  return change.kind === 'host' ? `host ${change.echo ?? false}` : change.kind;
}
