/**
 * Connection tracking of the host remembers who an answer belongs to by address alone, and every answer keeps that
 * alive: the next owner of an address would get what is meant for the one before. Entries that begin or end at one of the
 * addresses are listed and deleted one by one (`linux/netfilter/nfnetlink_conntrack.h`); kernels before 6.13 know no other
 * way.
 *
 * The kernel goes through its whole table for each listing, which is mostly empty: some 10 ms. It can pick the entries of
 * one end of one address, so that takes two listings for each; or tell all of them once, of which each costs as much
 * as some fifty places of the table. What is cheaper is done: for many addresses one listing, as a rule. And none is made for
 * an address of which nothing can be known: since everything was listed once, in advance or at the first occasion, no
 * container here had it.
 */
import { readFileSync } from 'node:fs';
import { OverlaydError } from '../../core/errors.ts';
import { parseIpv4Number } from '../../core/ip.ts';
import { AF_OF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter, parseAddress } from '../netlink/attributes.ts';
import type { Message, Request } from '../netlink/message.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { NETLINK_NETFILTER, NLA_F_NESTED, NLM_F_DUMP } from '../netlink/uapi/netlink.ts';
import { NFGENMSG_BYTES } from '../netlink/uapi/nfnetlink.ts';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = (NFNL_SUBSYS_CTNETLINK << 8) | 1;
const IPCTNL_MSG_CT_DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | 2;
const CTA = { TUPLE_ORIG: 1, TUPLE_REPLY: 2, ID: 12, ZONE: 18, FILTER: 25 } as const;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const UDP = 17;
const CTA_IP_SRC = { 4: 1, 6: 3 } as const;
const CTA_FILTER = { ORIG_FLAGS: 1, REPLY_FLAGS: 2 } as const;
/** `CTA_FILTER_*_FLAGS`: the source is compared. */
const BY_SOURCE = 1;
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

/** An address; of IPv4 as a number, since there may be many. */
type Key = number | string;

function keyOf(address: string): Key {
  const value = parseIpv4Number(address);
  return value < 0 ? address : value;
}

export class Flows {
  /** Addresses that entries may begin or end at; undefined: nothing was ever listed, and it may be any. */
  #met: Set<Key> | undefined;
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
    const doubtful = addresses.filter((address) => this.#met?.has(keyOf(address)) ?? true);
    // Nobody else's task any more: what came due meanwhile would delete those of the new owner.
    const left = addresses.filter((address) => this.#leaving.delete(address));
    try {
      if (doubtful.length > 0) await this.#forget(doubtful);
    } catch (error) {
      for (const address of left) this.#leaving.add(address);
      throw error;
    }
    for (const address of addresses) this.#met?.add(keyOf(address));
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
      for (const address of leaving) if (this.#leaving.delete(address)) this.#met?.delete(keyOf(address));
    }
  }

  async #forget(addresses: readonly string[]): Promise<void> {
    const wanted = new Set(addresses.map(keyOf));
    const met = this.#met ? undefined : new Set<Key>();
    const socket = this.#open();
    if (!socket) return;
    try {
      const flows: Uint8Array[] = [];
      const read = (message: Message) => readFlow(message, wanted, met);
      for (const request of met ? [EVERYTHING] : listings(addresses))
        flows.push(...(await socket.dumpLater(request, read, NO_TRACKING)));
      // What has ended by itself meanwhile is forgotten as well.
      const outcomes = socket.request(flows.map(deletion));
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
  const wanted = new Set(addresses.map(keyOf));
  const socket = openSocket(namespace);
  if (!socket) return;
  try {
    const read = (message: Message) => readDatagrams(message, wanted);
    const flows = await socket.dumpLater(EVERYTHING, read, NO_TRACKING);
    const failed = socket.request(flows.map(deletion)).find((outcome) => !outcome.ok && outcome.code !== 'ENOENT');
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
  if (isMostlyEmpty(2 * addresses.length - 1)) return [EVERYTHING];
  return addresses
    .map(parseAddress)
    .flatMap((ip) =>
      [CTA.TUPLE_ORIG, CTA.TUPLE_REPLY].map((tuple) =>
        dump(AF_OF[ip.family], (writer) =>
          writer
            .nested(
              tuple,
              () => writer.nested(CTA_TUPLE_IP, () => writer.ip(CTA_IP_SRC[ip.family], ip), NLA_F_NESTED),
              NLA_F_NESTED,
            )
            .nested(
              CTA.FILTER,
              () =>
                writer
                  .u32(CTA_FILTER.ORIG_FLAGS, tuple === CTA.TUPLE_ORIG ? BY_SOURCE : 0)
                  .u32(CTA_FILTER.REPLY_FLAGS, tuple === CTA.TUPLE_REPLY ? BY_SOURCE : 0),
              NLA_F_NESTED,
            ),
        ),
      ),
    );
}

function dump(family: number, filter: (writer: PayloadWriter) => PayloadWriter): Request {
  return { type: IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP, payload: filter(begin(family)).payload() };
}

/** Of both families. */
const EVERYTHING = dump(0, (writer) => writer);

function begin(family: number): PayloadWriter {
  return new PayloadWriter().header(NFGENMSG_BYTES, (view, at) => view.setUint8(at, family));
}

/** What names an entry: its header, and attributes as they came. Undefined when it begins and ends elsewhere. Where is added to `met`. */
function readFlow(
  { view, start, end }: Message,
  wanted: ReadonlySet<Key>,
  met: Set<Key> | undefined,
): Uint8Array | undefined {
  const named: Uint8Array[] = [begin(view.getUint8(start)).payload()];
  let meant = false;
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  while (attributes.next()) {
    const { type } = attributes;
    if (type === CTA.TUPLE_ORIG || type === CTA.TUPLE_REPLY) {
      const source = sourceOf(attributes.nested());
      meant ||= wanted.has(source);
      met?.add(source);
    }
    if (type === CTA.TUPLE_ORIG || type === CTA.ID || type === CTA.ZONE) named.push(attributes.raw());
  }
  return meant ? Buffer.concat(named) : undefined;
}

/** As {@link readFlow}, of UDP alone that is answered from one of the addresses. */
function readDatagrams({ view, start, end }: Message, wanted: ReadonlySet<Key>): Uint8Array | undefined {
  const named: Uint8Array[] = [begin(view.getUint8(start)).payload()];
  let meant = false;
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  while (attributes.next()) {
    const { type } = attributes;
    if (type === CTA.TUPLE_REPLY)
      meant = protocolOf(attributes.nested()) === UDP && wanted.has(sourceOf(attributes.nested()));
    if (type === CTA.TUPLE_ORIG || type === CTA.ID || type === CTA.ZONE) named.push(attributes.raw());
  }
  return meant ? Buffer.concat(named) : undefined;
}

function protocolOf(tuple: AttributeReader): number {
  while (tuple.next()) {
    if (tuple.type !== CTA_TUPLE_PROTO) continue;
    const of = tuple.nested();
    while (of.next()) if (of.type === CTA_PROTO_NUM) return of.u8();
  }
  return -1;
}

/** -1: none. */
function sourceOf(tuple: AttributeReader): Key {
  while (tuple.next()) {
    if (tuple.type !== CTA_TUPLE_IP) continue;
    const ip = tuple.nested();
    while (ip.next()) {
      if (ip.type === CTA_IP_SRC[4]) return ip.be32();
      if (ip.type === CTA_IP_SRC[6]) return ip.ip() ?? -1;
    }
  }
  return -1;
}

function deletion(flow: Uint8Array): Request {
  return { type: IPCTNL_MSG_CT_DELETE, flags: 0, payload: flow };
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
