/**
 * Hears of changes: one socket in the host's namespace that is a member of multicast groups and listens to every namespace
 * that has an id there (`NETLINK_LISTEN_ALL_NSID`), so that two sockets, one per protocol, hear whatever number of them.
 * That takes CAP_NET_BROADCAST; without it the host's namespace alone is heard. Nothing is held: a namespace ends when its
 * last process does, as if nobody listened, and `RTNLGRP_NSID` tells.
 *
 * The event loop itself waits for the socket. It is handed a few dozen messages at a time, in microseconds each.
 *
 * What comes faster than it is taken fills the socket's buffer, and the kernel throws away what finds no room, and from then
 * on everything until the buffer is empty. It says so once, at the start. That it did is told (`onLost`) when it hands over
 * what comes next again: whoever listens has to look at everything then.
 */
import { endianness } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { AT_ONCE, type Datagram, receiveDatagrams } from '../native/datagrams.ts';
import { insideNamespace } from '../native/namespace.ts';
import { enlargeReceiveBuffer } from '../native/receive-buffer.ts';
import {
  AF,
  bindSocket,
  closeDescriptor,
  netlinkAddress,
  openSocket,
  SOCK,
  SOL,
  setSocketOption,
} from '../native/socket.ts';
import {
  filterSocket,
  type Instruction,
  jumpIfEqual,
  load16,
  load32,
  MOST_INSTRUCTIONS,
  TAKE,
  THROW_AWAY,
  unfilterSocket,
} from '../native/socket-filter.ts';
import { type SystemCallError, whenReadable } from '../native/system-call.ts';
import { type Message, messagesOf, TYPE_AT } from './message.ts';
import { NETLINK_ADD_MEMBERSHIP, NETLINK_LISTEN_ALL_NSID, NLMSG_HDRLEN } from './uapi/netlink.ts';
import { RTM_DELNEIGH, RTM_NEWNEIGH } from './uapi/rtnetlink.ts';

export interface MonitorOptions {
  /** `NETLINK_ROUTE`, `NETLINK_NETFILTER`. */
  readonly protocol: number;
  /** Numbers of multicast groups (`RTNLGRP_*`). */
  readonly groups: readonly number[];
  /** Path of the host's namespace; undefined: where the thread is. */
  readonly namespace?: string | undefined;
  /**
   * What happened, in the order of events. `nsid`: the id of the namespace in which it did; undefined: the host's own. The
   * message is gone when this returns.
   */
  readonly onMessage: (message: Message, nsid: number | undefined) => void;
  /** Something was not heard. */
  readonly onLost: () => void;
}

const BUFFER_BYTES = 16 * 1024 * 1024;
/** What the kernel counts of the buffer for a message at least (`SKB_TRUESIZE`); and it gives twice of what it is asked for (socket(7)). */
const LEAST_COUNTED_BYTES = 512;
/** There was no room for a message, or no memory to hand it over. */
const LOSSES = ['ENOBUFS', 'ENOMEM'];

/** Where the index of its link is, in an event of a row (`struct ndmsg`). */
const ROW_LINK_AT = NLMSG_HDRLEN + 4;
/** Instructions that are there whatever is ignored. */
const FRAME = 6;
export const MOST_IGNORED = MOST_INSTRUCTIONS - FRAME;

/** The kernel tells of each row in a message of its own. */
function allButRowsOf(links: readonly number[]): readonly Instruction[] {
  const toTake = links.length;
  return [
    load16(TYPE_AT),
    jumpIfEqual(asLoaded(RTM_NEWNEIGH, 2), 1, 0),
    jumpIfEqual(asLoaded(RTM_DELNEIGH, 2), 0, toTake + 1),
    load32(ROW_LINK_AT),
    ...links.map((link, nth) => jumpIfEqual(asLoaded(link, 4), links.length - nth, 0)),
    TAKE,
    THROW_AWAY,
  ];
}

/** A number of this machine's byte order, as a filter loads it. */
function asLoaded(value: number, bytes: 2 | 4): number {
  const buffer = Buffer.alloc(bytes);
  if (endianness() === 'LE') buffer.writeUIntLE(value, 0, bytes);
  else buffer.writeUIntBE(value, 0, bytes);
  return buffer.readUIntBE(0, bytes);
}

/** Has the socket hear every namespace that has an id. False: we may not. */
export function listenEverywhere(fd: number): boolean {
  try {
    setSocketOption(fd, SOL.NETLINK, NETLINK_LISTEN_ALL_NSID, 1);
    return true;
  } catch (error) {
    if ((error as SystemCallError).code !== 'EPERM') throw error;
    return false;
  }
}

export class NetlinkMonitor {
  /** Whether other namespaces than the host's are heard. */
  readonly everywhere: boolean;
  readonly #fd: number;
  readonly #options: MonitorOptions;
  readonly #waiting: { stop(): void };
  /** More turns do not wait in the buffer. */
  readonly #mostTurns: number;
  /** Something was thrown away, and may still be. */
  #missing = false;
  #next: NodeJS.Immediate | undefined;
  #drained = Promise.resolve();
  #closed = false;
  #isFiltered = false;

  /** Hears what happens from now on. Throws as opening a socket in the namespace does. */
  constructor(options: MonitorOptions) {
    const { protocol, groups, namespace } = options;
    this.#options = options;
    this.#fd = insideNamespace(namespace, () => openSocket(AF.NETLINK, SOCK.RAW | SOCK.NONBLOCK, protocol));
    try {
      const buffer = 2 * enlargeReceiveBuffer(this.#fd, BUFFER_BYTES);
      this.#mostTurns = Math.ceil(buffer / LEAST_COUNTED_BYTES / AT_ONCE);
      this.everywhere = listenEverywhere(this.#fd);
      bindSocket(this.#fd, netlinkAddress());
      for (const group of groups) setSocketOption(this.#fd, SOL.NETLINK, NETLINK_ADD_MEMBERSHIP, group);
      this.#waiting = whenReadable(this.#fd, () => this.#hear());
    } catch (error) {
      closeDescriptor(this.#fd);
      throw error;
    }
  }

  /**
   * Hears what has happened until now. A few dozen messages are taken at once and the others in turns of their own: nobody else waits
   * for thousands. Who asks first is told first. It ends however fast more comes: after as much as the buffer can hold.
   */
  drain(): Promise<void> {
    const take = () => this.#takeAll();
    this.#drained = this.#drained.then(take, take);
    return this.#drained;
  }

  async #takeAll(): Promise<void> {
    for (let turns = 0; turns < this.#mostTurns && !this.#closed && this.#receive(); turns++) await turn();
  }

  /**
   * Nothing is heard of rows (`RTM_NEWNEIGH`, `RTM_DELNEIGH`) of the links with these indexes from now on, in whatever namespace;
   * of none: all is heard again. So many at most: {@link MOST_IGNORED}.
   */
  ignoreRows(links: readonly number[]): void {
    if (this.#closed) return;
    if (links.length > 0) filterSocket(this.#fd, allButRowsOf(links));
    else if (this.#isFiltered) unfilterSocket(this.#fd);
    this.#isFiltered = links.length > 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearImmediate(this.#next);
    this.#waiting.stop();
    closeDescriptor(this.#fd);
  }

  #hear(): void {
    // Nobody tells that the buffer is empty.
    if (!this.#receive() || !this.#missing) return;
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.#hear();
    });
  }

  /** Returns whether there may be more. */
  #receive(): boolean {
    try {
      if (receiveDatagrams(this.#fd, (datagram) => this.#tell(datagram))) return true;
    } catch (error) {
      if (!LOSSES.includes((error as SystemCallError).code)) throw error;
      this.#missing = true;
      return true;
    }
    if (this.#missing) this.#options.onLost();
    this.#missing = false;
    return false;
  }

  #tell(datagram: Datagram): void {
    const { onMessage, onLost } = this.#options;
    const nsid = datagram.control(SOL.NETLINK, NETLINK_LISTEN_ALL_NSID);
    for (const message of messagesOf(datagram.bytes)) onMessage(message, nsid);
    if (datagram.truncated) onLost();
  }
}
