/**
 * What carries netlink's datagrams to the kernel and back, and knows nothing of what is in them. The kernel's answers wait in
 * the socket's buffer, so nothing here waits for any but {@link Transport.wait}.
 */
import { insideNamespace } from '../native/namespace.ts';
import { enlargeReceiveBuffer, tolerating } from '../native/receive-buffer.ts';
import {
  AF,
  bindSocket,
  closeDescriptor,
  hasLink,
  linkIndex,
  MSG,
  netlinkAddress,
  openSocket,
  PollSet,
  receive,
  SOCK,
  SOL,
  send,
  sendLater,
  setSocketOption,
  socketAddress,
} from '../native/socket.ts';
import { viewOf } from './attributes.ts';
import * as nl from './uapi/netlink.ts';

/** Functions throw what the system call says; `ENOBUFS`, of those that receive: something found no room, and is lost. */
export interface Transport {
  /** The socket's port id: the kernel's answers bear it. */
  readonly port: number;
  /** Of what waits to be received, in the kernel's own count. */
  readonly bufferBytes: number;
  /** One datagram, of one message or several. The kernel has worked on all of them when this returns. */
  send(datagram: Uint8Array): void;
  /** The same in another thread. The datagram must stay as it is until then. */
  sendLater(datagram: Uint8Array): Promise<void>;
  /** Length of the datagram that comes next; undefined: none waits. */
  nextLength(): number | undefined;
  /** Takes the next datagram, as much of it as there is room for. Returns how much that is; undefined: none waits. */
  receive(into: Uint8Array): number | undefined;
  /** Blocks until one waits, for so long at most, or a signal comes. */
  wait(timeoutMs: number): void;
  /** As of `linkIndex` and `hasLink`, which ask by the same socket. */
  indexOf(name: string): number | undefined;
  hasIndex(index: number): boolean;
  close(): void;
}

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * A socket, bound, whose answers say as much as the kernel has to say. `protocol`: `NETLINK_*`; `namespace`: its path;
 * undefined: where the thread is. Throws as opening the namespace's file does (`ENOENT`), `EINVAL` where the path is no
 * namespace's, and what socket(2) says (`EMFILE`, `EPROTONOSUPPORT`).
 */
export function openNetlink(protocol: number, namespace: string | undefined): number {
  const fd = insideNamespace(namespace, () => openSocket(AF.NETLINK, SOCK.RAW, protocol));
  try {
    for (const option of [nl.NETLINK_EXT_ACK, nl.NETLINK_CAP_ACK, nl.NETLINK_GET_STRICT_CHK]) {
      // Where the kernel has them.
      tolerating(() => setSocketOption(fd, SOL.NETLINK, option, 1));
    }
    bindSocket(fd, netlinkAddress());
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

/** The kernel's. Throws as {@link openNetlink} does. */
export class KernelTransport implements Transport {
  readonly port: number;
  readonly bufferBytes: number;
  readonly #fd: number;
  readonly #poll = new PollSet();
  readonly #start = new Uint8Array(4);

  constructor(protocol: number, namespace: string | undefined) {
    this.#fd = openNetlink(protocol, namespace);
    try {
      this.bufferBytes = enlargeReceiveBuffer(this.#fd, RECEIVE_BUFFER_BYTES);
      this.port = viewOf(socketAddress(this.#fd)).getUint32(4, true);
      this.#poll.set([this.#fd]);
    } catch (error) {
      closeDescriptor(this.#fd);
      throw error;
    }
  }

  send(datagram: Uint8Array): void {
    send(this.#fd, datagram);
  }

  sendLater(datagram: Uint8Array): Promise<void> {
    return sendLater(this.#fd, datagram);
  }

  nextLength(): number | undefined {
    return receive(this.#fd, this.#start, MSG.DONTWAIT | MSG.PEEK | MSG.TRUNC);
  }

  receive(into: Uint8Array): number | undefined {
    return receive(this.#fd, into, MSG.DONTWAIT);
  }

  wait(timeoutMs: number): void {
    this.#poll.wait(timeoutMs);
  }

  indexOf(name: string): number | undefined {
    return linkIndex(this.#fd, name);
  }

  hasIndex(index: number): boolean {
    return hasLink(this.#fd, index);
  }

  close(): void {
    closeDescriptor(this.#fd);
  }
}
