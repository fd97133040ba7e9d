/**
 * Connection tracking of the host remembers who an answer belongs to by address alone, and every answer keeps that
 * alive: the next owner of an address would get what is meant for the one before. Entries that begin or end at one of the
 * addresses are listed and deleted one by one; kernels before 6.13 know no other way.
 *
 * The kernel goes through its whole table for each listing, which is mostly empty: some 10 ms. It can pick the entries of
 * one end of one address, so that takes two listings for each; or tell all of them once, of which each costs as much
 * as some fifty places of the table. What is cheaper is done: for many addresses one listing, as a rule. And none is made for
 * an address of which nothing can be known: since everything was listed once, in advance or at the first occasion, no
 * container here had it.
 */
import { readFileSync } from 'node:fs';
import { OverlaydError } from '../../core/errors.ts';
import { decodeFlow, deleteFlow, dumpFlows, dumpFlowsOf, type FlowAddress, flowAddress } from '../netlink/conntrack.ts';
import type { Message, Request } from '../netlink/message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { IPPROTO_UDP } from '../netlink/uapi/in.ts';
import { NETLINK_NETFILTER } from '../netlink/uapi/netlink.ts';

/** So many places of the table cost as much as telling one entry. */
const PLACES_PER_ENTRY = 50;
/** A kernel without connection tracking says so: there is nothing to forget. */
const NO_TRACKING = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EPROTONOSUPPORT'];

/**
 * Going through the table takes a processor for as long as a detach waits for etcd, which may have to share it. So it begins
 * when that is over, as a rule, and once for all that have gone by then.
 */
const REST_MS = 30;

/** More addresses are not kept in mind. */
const MOST_KEPT = 65_536;

export class Flows {
  /** Addresses that entries may begin or end at; undefined: nothing was ever listed, and it may be any. */
  #met: Set<FlowAddress> | undefined;
  /** Whose owner went, until their entries are deleted. */
  #leaving = new Set<string>();
  #running: Promise<void> | undefined;
  #due: NodeJS.Timeout | undefined;
  readonly #open: () => NetlinkSocket | undefined;

  /** `open`: a socket to list and delete them by; undefined where there is no connection tracking. */
  constructor(open: () => NetlinkSocket | undefined = openSocket) {
    this.#open = open;
  }

  /**
   * Lists everything, where that is not much, so that the first address that comes need not wait for it. What fails is done
   * then.
   */
  async begin(): Promise<void> {
    if (this.#met || !isMostlyEmpty(1)) return;
    const listed = async () => {
      await this.#forget([]).catch(() => undefined);
      // Of those whose owner went meanwhile.
      await this.#run();
    };
    this.#start(listed);
    await this.#running?.catch(() => undefined);
  }

  /** Of addresses that are about to be used. Resolves when nothing is known of them. Throws `data-path-failed`. */
  async prepare(addresses: readonly string[]): Promise<void> {
    if (addresses.length === 0) return;
    await this.#running?.catch(() => undefined);
    const doubtful = addresses.filter((address) => this.#met?.has(flowAddress(address)) ?? true);
    // Nobody else's task any more: what came due meanwhile would delete those of the new owner.
    const left = addresses.filter((address) => this.#leaving.delete(address));
    try {
      if (doubtful.length > 0) await this.#forget(doubtful);
    } catch (error) {
      for (const address of left) this.#leaving.add(address);
      throw error;
    }
    for (const address of addresses) this.#met?.add(flowAddress(address));
  }

  /** Of addresses that nobody has any more: done soon. What fails is done with the next ones, or before one is used again. */
  release(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    for (const address of addresses) this.#leaving.add(address);
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#start(() => this.#run());
    }, REST_MS);
  }

  #start(task: () => Promise<void>): void {
    this.#running ??= task().finally(() => {
      this.#running = undefined;
    });
    this.#running.catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (this.#leaving.size > 0) {
      const leaving = [...this.#leaving];
      await this.#forget(leaving);
      for (const address of leaving) if (this.#leaving.delete(address)) this.#met?.delete(flowAddress(address));
    }
  }

  async #forget(addresses: readonly string[]): Promise<void> {
    const wanted = new Set(addresses.map(flowAddress));
    const met = this.#met ? undefined : new Set<FlowAddress>();
    const socket = this.#open();
    if (!socket) return;
    try {
      const deletions: Request[] = [];
      const read = (message: Message) => readFlow(message, wanted, met);
      for (const request of met ? [dumpFlows()] : listings(addresses))
        deletions.push(...(await socket.dumpLater(request, read, NO_TRACKING)));
      // What has ended by itself meanwhile is forgotten as well.
      const outcomes = socket.request(deletions);
      const failed = outcomes.find((outcome) => !outcome.ok && outcome.code !== 'ENOENT');
      if (failed?.ok === false) {
        const message = `forgetting the connections of ${addresses.join(', ')} failed: ${failed.text} (${failed.code})`;
        throw new OverlaydError('data-path-failed', message, { retryable: true });
      }
      if (met && met.size <= MOST_KEPT) this.#met = met;
    } finally {
      socket.close();
    }
  }
}

/**
 * Of a network's namespace: what is not connected (UDP) and goes on to one of these addresses, where a service sends nothing new
 * any more, is chosen anew. Connections stay. The table has what is for services alone. Throws `data-path-failed`.
 */
export async function forgetDatagrams(namespace: string | undefined, addresses: readonly string[]): Promise<void> {
  const wanted = new Set(addresses.map(flowAddress));
  const socket = openSocket(namespace);
  if (!socket) return;
  try {
    const read = (message: Message) => readDatagrams(message, wanted);
    const deletions = await socket.dumpLater(dumpFlows(), read, NO_TRACKING);
    const failed = socket.request(deletions).find((outcome) => !outcome.ok && outcome.code !== 'ENOENT');
    if (failed?.ok !== false) return;
    const message = `forgetting what goes on to ${addresses.join(', ')} failed: ${failed.text} (${failed.code})`;
    throw new OverlaydError('data-path-failed', message, { retryable: true });
  } finally {
    socket.close();
  }
}

/** Undefined where there is no connection tracking. */
function openSocket(namespace?: string): NetlinkSocket | undefined {
  try {
    return new NetlinkSocket({ protocol: NETLINK_NETFILTER, namespace });
  } catch (error) {
    if (NO_TRACKING.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function listings(addresses: readonly string[]): Request[] {
  if (isMostlyEmpty(2 * addresses.length - 1)) return [dumpFlows()];
  return addresses.flatMap((address) => [dumpFlowsOf(address, 'source'), dumpFlowsOf(address, 'answerer')]);
}

/** What deletes the entry. Undefined when it begins and ends elsewhere. Where is added to `met`. */
function readFlow(
  message: Message,
  wanted: ReadonlySet<FlowAddress>,
  met: Set<FlowAddress> | undefined,
): Request | undefined {
  const { source, answerer } = decodeFlow(message);
  let meant = false;
  for (const end of [source, answerer]) {
    if (end === undefined) continue;
    meant ||= wanted.has(end);
    met?.add(end);
  }
  return meant ? deleteFlow(message) : undefined;
}

/** As {@link readFlow}, of UDP alone that is answered from one of the addresses. */
function readDatagrams(message: Message, wanted: ReadonlySet<FlowAddress>): Request | undefined {
  const { protocol, answerer } = decodeFlow(message);
  return protocol === IPPROTO_UDP && answerer !== undefined && wanted.has(answerer) ? deleteFlow(message) : undefined;
}

/** Whether telling everything costs less than going through the table so many times. */
function isMostlyEmpty(times: number): boolean {
  return setting('count') * PLACES_PER_ENTRY < setting('buckets') * times;
}

/** Of connection tracking in this thread's namespace; 0 where there is none. */
function setting(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/net/netfilter/nf_conntrack_${name}`, 'utf8'));
  } catch {
    return 0;
  }
}
