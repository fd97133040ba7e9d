/** Sockets bound in another network namespace: opened there by this process itself, and Node.js's by their descriptors. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { OverlaydError } from '../../core/errors.ts';
import { isIpv4 } from '../../core/ip.ts';
import { insideNamespace } from '../native/namespace.ts';
import { enlargeReceiveBuffer } from '../native/receive-buffer.ts';
import {
  AF_OF,
  bindSocket,
  closeDescriptor,
  IPV6_V6ONLY,
  inetAddress,
  openSocket,
  SO,
  SOCK,
  SOL,
  setSocketOption,
} from '../native/socket.ts';
import { endLeftovers, holderOf, type LeftoverOptions } from './leftovers.ts';

export interface BoundSockets {
  readonly address: string;
  readonly udp: Socket;
  readonly tcp: Server;
}

export interface BindOptions extends LeftoverOptions {
  readonly port: number;
}

/** Questions wait there while nobody reads, as over a hand-over on a busy host: some thousands, several times what the host gives. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
/** The address may be a moment behind the namespace, the end of sockets a moment behind their process. */
const RETRIES = 20;
const RETRY_MS = 50;

/**
 * Resolves with sockets that listen from the next turn on: who takes them in this one hears every question. What is nobody's
 * any more and holds the port is ended. Rejects with `data-path-failed` (retryable).
 */
export async function bindInNamespace(
  namespacePath: string,
  address: string,
  options: BindOptions,
): Promise<BoundSockets> {
  let problem = '';
  for (let retries = RETRIES, freed = false; ; ) {
    try {
      return open(namespacePath, address, options.port);
    } catch (error) {
      problem = (error as NodeJS.ErrnoException).code ?? String(error);
    }
    if (problem === 'EADDRINUSE' && !freed) {
      if (!(await endLeftovers(namespacePath, options))) break;
      freed = true;
    } else if (retries > 0 && (problem === 'EADDRNOTAVAIL' || problem === 'EADDRINUSE')) {
      retries -= 1;
      await sleep(RETRY_MS);
    } else break;
  }
  const words = problem === 'EADDRINUSE' ? await inUse(namespacePath, address, options.port) : problem;
  throw new OverlaydError(
    'data-path-failed',
    `cannot listen for DNS on ${address} in ${namespacePath}: ${words}; it is tried again every few seconds`,
    { retryable: true },
  );
}

async function inUse(namespacePath: string, address: string, port: number): Promise<string> {
  const holder = await holderOf(namespacePath, address, port);
  return holder === undefined
    ? `port ${port} is in use there`
    : `port ${port} is held there by ${holder}, which has to end`;
}

function open(namespacePath: string, address: string, port: number): BoundSockets {
  const [tcpFd, udpFd] = insideNamespace(namespacePath, () => {
    const stream = bound(SOCK.STREAM, address, port);
    try {
      return [stream, bound(SOCK.DGRAM, address, port)] as const;
    } catch (error) {
      closeDescriptor(stream);
      throw error;
    }
  });
  const tcp = createServer();
  tcp.listen({ fd: tcpFd });
  const udp = createSocket(isIpv4(address) ? 'udp4' : 'udp6');
  udp.bind({ fd: udpFd, exclusive: true });
  return { address, udp, tcp };
}

function bound(type: number, address: string, port: number): number {
  const family = isIpv4(address) ? 4 : 6;
  const fd = openSocket(AF_OF[family], type | SOCK.NONBLOCK);
  try {
    // Whoever is asked at an address of one family is not reached by the other, whatever the host's default is.
    if (family === 6) setSocketOption(fd, SOL.IPV6, IPV6_V6ONLY, 1);
    if (type === SOCK.DGRAM) enlargeReceiveBuffer(fd, RECEIVE_BUFFER_BYTES);
    // Connections of a process before may be in their last minute.
    if (type === SOCK.STREAM) setSocketOption(fd, SOL.SOCKET, SO.REUSEADDR, 1);
    bindSocket(fd, inetAddress(address, port));
    return fd;
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}
