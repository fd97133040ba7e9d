/**
 * Sockets as descriptors, for families that Node.js does not open (netlink) and for those that it takes over by their
 * descriptor (`dgram.Socket.bind({fd})`, `net.Server.listen({fd})`). Numbers are those of Linux's headers.
 */
import { close } from 'node:fs';
import { promisify } from 'node:util';
import { putBytes, requireIp } from '../../core/ip.ts';
import { call, callLater, callNow, callOnce, libc } from './system-call.ts';

export const AF = { UNSPEC: 0, UNIX: 1, INET: 2, BRIDGE: 7, INET6: 10, NETLINK: 16, PACKET: 17 } as const;
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3, SEQPACKET: 5, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
export const SOL = { SOCKET: 1, IPV6: 41, NETLINK: 270 } as const;
export const SO = {
  REUSEADDR: 2,
  SNDBUF: 7,
  RCVBUF: 8,
  PEERCRED: 17,
  BINDTODEVICE: 25,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  ATTACH_FILTER: 26,
  DETACH_FILTER: 27,
  MARK: 36,
} as const;
/** Of `SOL.IPV6`. */
export const IPV6_V6ONLY = 26;
export const MSG = { PEEK: 0x2, DONTWAIT: 0x40, TRUNC: 0x20, NOSIGNAL: 0x4000 } as const;
/** `linux/sockios.h` */
const [SIOCGIFNAME, SIOCGIFINDEX] = [0x8910, 0x8933];
const IFNAMSIZ = 16;
const IFREQ_BYTES = 40;
const POLL = { IN: 1, OUT: 4, ERR: 8, HUP: 16, NVAL: 32 } as const;

const native = {
  socket: libc('int socket(int domain, int type, int protocol)'),
  bind: libc('int bind(int fd, const void *address, uint32_t length)'),
  connect: libc('int connect(int fd, const void *address, uint32_t length)'),
  getsockname: libc('int getsockname(int fd, void *address, void *length)'),
  setsockopt: libc('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)'),
  getsockopt: libc('int getsockopt(int fd, int level, int name, void *value, void *length)'),
  send: libc('int64_t send(int fd, const void *data, uint64_t length, int flags)'),
  recv: libc('int64_t recv(int fd, void *data, uint64_t length, int flags)'),
  poll: libc('int poll(void *fds, uint64_t count, int timeout)'),
  ioctl: libc('int ioctl(int fd, uint64_t request, void *argument)'),
  close: libc('int close(int fd)'),
  ifNameToIndex: libc('uint32_t if_nametoindex(const char *name)'),
};

/** Returns the descriptor; it is closed on exec. Throws as {@link call} does, like everything here. */
export function openSocket(family: number, type: number, protocol = 0): number {
  return call('socket', native.socket, [family, type | SOCK.CLOEXEC, protocol]);
}

/** `address`: a `sockaddr`, as of {@link inetAddress} and its like. */
export function bindSocket(fd: number, address: Uint8Array, subject = ''): void {
  call('bind', native.bind, [fd, address, address.length], subject);
}

export function connectSocket(fd: number, address: Uint8Array, subject = ''): void {
  call('connect', native.connect, [fd, address, address.length], subject);
}

/** The `sockaddr` that the socket is bound to. */
export function socketAddress(fd: number): Uint8Array {
  const address = new Uint8Array(128);
  const length = new Uint32Array([address.length]);
  call('getsockname', native.getsockname, [fd, address, length]);
  return address.subarray(0, length[0]);
}

/** A 32-bit option. */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  call('setsockopt', native.setsockopt, [fd, level, name, new Int32Array([value]), 4]);
}

/** One that is a structure. */
export function setSocketOptionBytes(fd: number, level: number, name: number, value: Uint8Array): void {
  call('setsockopt', native.setsockopt, [fd, level, name, value, value.length]);
}

/** Of a connected Unix socket: the process that listens at the other end, or did when it began to. */
export function peerProcess(fd: number): number {
  /** `struct ucred`: process, user, group. */
  const credentials = new Int32Array(3);
  call('getsockopt', native.getsockopt, [fd, SOL.SOCKET, SO.PEERCRED, credentials, new Uint32Array([12])]);
  return credentials[0]!;
}

/** Sends one message. */
export function send(fd: number, data: Uint8Array, flags = 0): number {
  return call('send', native.send, [fd, data, data.length, flags | MSG.NOSIGNAL]);
}

/** As {@link send}, where that takes its time: resolves when the receiver has taken it. The data must stay as it is. */
export async function sendLater(fd: number, data: Uint8Array): Promise<void> {
  await callLater('send', native.send, [fd, data, data.length, MSG.NOSIGNAL]);
}

/**
 * Receives one message into the buffer. Returns its length, which is greater than the buffer's with `MSG.TRUNC`; undefined
 * when there is none and the socket, or `MSG.DONTWAIT`, does not wait.
 */
export function receive(fd: number, into: Uint8Array, flags = 0): number | undefined {
  return callNow('recv', native.recv, [fd, into, into.length, flags]);
}

export function closeDescriptor(fd: number): void {
  // A second time the number may be another thread's already.
  callOnce('close', native.close, [fd]);
}

/**
 * As {@link closeDescriptor}, for what the kernel takes its time to end, 5 to 20 ms: a packet socket, and one of netlink that
 * owns tables. It waits until nobody looks at them any more (RCU). A thread of libuv's waits meanwhile.
 */
export const closeLater: (fd: number) => Promise<void> = promisify(close);

/**
 * Index of a link of the namespace that the socket is in; undefined: there is none. Nobody who changes links is waited for, as
 * `RTM_GETLINK` does. Where there is none, the kernel first looks for a module of that name.
 */
export function linkIndex(fd: number, name: string): number | undefined {
  const request = Buffer.alloc(IFREQ_BYTES);
  if (request.write(name) >= IFNAMSIZ) return undefined;
  return askOfLink(fd, SIOCGIFINDEX, request) ? request.readInt32LE(IFNAMSIZ) : undefined;
}

/** Whether there is a link of that index; one that is being removed has lost it. */
export function hasLink(fd: number, index: number): boolean {
  const request = Buffer.alloc(IFREQ_BYTES);
  request.writeInt32LE(index, IFNAMSIZ);
  return askOfLink(fd, SIOCGIFNAME, request);
}

function askOfLink(fd: number, what: number, request: Uint8Array): boolean {
  try {
    call('ioctl', native.ioctl, [fd, what, request]);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENODEV') return false;
    throw error;
  }
}

/** Descriptors to wait for; each is waited for until something can be read, or until it fails. */
export class PollSet {
  /** `struct pollfd`: the descriptor, and in one word what is waited for (lower half) and what came (upper half). */
  #entries = new Int32Array(0);

  /** Order counts: {@link wait} tells positions. */
  set(fds: readonly number[]): void {
    this.#entries = new Int32Array(fds.length * 2);
    fds.forEach((fd, at) => {
      this.#entries[2 * at] = fd;
    });
  }

  /** Blocks for so long at most; -1: for ever. Returns the positions of those that are ready; none in time, or a signal came. */
  wait(timeoutMs: number): number[] {
    const entries = this.#entries;
    const count = entries.length / 2;
    for (let at = 0; at < count; at++) entries[2 * at + 1] = POLL.IN;
    if (!callOnce('poll', native.poll, [entries, count, timeoutMs])) return [];
    const ready: number[] = [];
    for (let at = 0; at < count; at++) if (entries[2 * at + 1]! >>> 16 !== 0) ready.push(at);
    return ready;
  }
}

// ---------------------------------------------------------------- addresses

/** Numbers of the families of addresses. */
export const AF_OF = { 4: AF.INET, 6: AF.INET6 } as const;

/** `struct sockaddr_in`, or of an IPv6 address `struct sockaddr_in6`, whose address stands behind the flow label. */
export function inetAddress(address: string, port: number): Uint8Array {
  const ip = requireIp(address, 'address');
  const bytes = Buffer.alloc(ip.family === 4 ? 16 : 28);
  bytes.writeUInt16LE(AF_OF[ip.family], 0);
  bytes.writeUInt16BE(port, 2);
  putBytes(bytes, ip.family === 4 ? 4 : 8, ip);
  return bytes;
}

/** `struct sockaddr_un`. A path that begins with `@` is a name of the abstract namespace (unix(7)). */
export function unixAddress(path: string): Uint8Array {
  const name = Buffer.from(path);
  if (path.startsWith('@')) name[0] = 0;
  const bytes = Buffer.alloc(2 + name.length + (path.startsWith('@') ? 0 : 1));
  bytes.writeUInt16LE(AF.UNIX, 0);
  bytes.set(name, 2);
  return bytes;
}

/** `struct sockaddr_nl`; port 0: the kernel chooses one. */
export function netlinkAddress(port = 0, groups = 0): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16LE(AF.NETLINK, 0);
  bytes.writeUInt32LE(port, 4);
  bytes.writeUInt32LE(groups, 8);
  return bytes;
}

/** `struct sockaddr_ll`, of a link by its number, to send by it: no protocol, so that nothing comes in. */
export function packetAddress(link: number): Uint8Array {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt16LE(AF.PACKET, 0);
  bytes.writeInt32LE(link, 4);
  return bytes;
}

/** Of the namespace that the thread is in. Throws `ENODEV` where there is no such link. */
export function linkNumber(name: string): number {
  const number = native.ifNameToIndex(name);
  if (number === 0) throw Object.assign(new Error(`there is no link ${name}`), { code: 'ENODEV' });
  return number;
}
