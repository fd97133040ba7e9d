/**
 * Tells that something of WireGuard's may not be as it was: by the kernel's events of its links and of the place, and by the
 * end of a process, which a connection that is kept open tells at once, whoever started it.
 */
import { WIREGUARD_DEVICES } from '../../core/wireguard/state.ts';
import { decodeAddress } from '../netlink/address.ts';
import { decodeLink } from '../netlink/link.ts';
import type { Message } from '../netlink/message.ts';
import { NetlinkMonitor } from '../netlink/monitor.ts';
import { decodeNsid } from '../netlink/namespace-id.ts';
import { NETLINK_ROUTE } from '../netlink/uapi/netlink.ts';
import * as rt from '../netlink/uapi/rtnetlink.ts';
import type { Uapi } from './uapi.ts';

const GROUPS = [
  rt.RTNLGRP_LINK,
  rt.RTNLGRP_IPV4_IFADDR,
  rt.RTNLGRP_IPV6_IFADDR,
  rt.RTNLGRP_IPV4_ROUTE,
  rt.RTNLGRP_NSID,
] as const;
const NAMES: readonly string[] = WIREGUARD_DEVICES;
/** Where namespaces are not heard (see `NetlinkMonitor`) something may have changed so often. */
const DEAF_MS = 5_000;

export class WireguardChanges {
  /** By which id events name the place; undefined: not known. */
  placeId: number | undefined;
  readonly #uapi: Uapi;
  readonly #namespace: string | undefined;
  readonly #onOwnAddress: () => void;
  readonly #listeners = new Set<() => void>();
  readonly #watched = new Set<string>();
  #quit = new AbortController();

  /**
   * `namespace`: path of the host's, where that is another one than this process's. `onOwnAddress`: the host has other
   * addresses than before, by which others may reach it; told while somebody listens.
   */
  constructor(uapi: Uapi, namespace: string | undefined, onOwnAddress: () => void) {
    this.#uapi = uapi;
    this.#onOwnAddress = onOwnAddress;
    this.#namespace = namespace;
  }

  /** The first one says that from then on changes are heard. Throws as opening sockets does. */
  async *follow(signal: AbortSignal): AsyncGenerator<void> {
    if (signal.aborted) return;
    let isNews = true;
    let wake: (() => void) | undefined;
    const listener = () => {
      isNews = true;
      wake?.();
    };
    const monitor = this.#open(listener);
    const deaf = monitor.everywhere ? undefined : setInterval(listener, DEAF_MS).unref();
    this.#listeners.add(listener);
    const end = () => wake?.();
    signal.addEventListener('abort', end, { once: true });
    try {
      for (const name of NAMES) if (this.#uapi.listener(name) !== undefined) this.watch(name);
      while (!signal.aborted) {
        if (!isNews)
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        wake = undefined;
        if (!isNews) continue;
        isNews = false;
        yield;
      }
    } finally {
      signal.removeEventListener('abort', end);
      clearInterval(deaf);
      monitor.close();
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#unwatch();
    }
  }

  /** The end of the process that runs the device is told, while somebody listens. */
  watch(name: string): void {
    if (this.#listeners.size === 0 || this.#watched.has(name)) return;
    const { signal } = this.#quit;
    this.#watched.add(name);
    void this.#uapi.ended(name, signal).then(() => {
      if (signal.aborted) return;
      this.#watched.delete(name);
      for (const listener of this.#listeners) listener();
    });
  }

  #unwatch(): void {
    this.#quit.abort();
    this.#quit = new AbortController();
    this.#watched.clear();
  }

  #open(listener: () => void): NetlinkMonitor {
    return new NetlinkMonitor({
      ...{ protocol: NETLINK_ROUTE, groups: GROUPS, namespace: this.#namespace },
      onMessage: (message, nsid) => {
        if (nsid === undefined && isAddress(message)) this.#onOwnAddress();
        else if (this.#isOurs(message, nsid)) listener();
      },
      onLost: listener,
    });
  }

  #isOurs(message: Message, nsid: number | undefined): boolean {
    switch (message.type) {
      case rt.RTM_NEWLINK:
      case rt.RTM_DELLINK:
        // On their way from the host into the place they are heard of in both.
        return NAMES.includes(decodeLink(message).name);
      case rt.RTM_DELNSID:
        return nsid === undefined && decodeNsid(message) === this.placeId;
      case rt.RTM_NEWNSID:
        return false;
      default:
        return nsid !== undefined && nsid === this.placeId;
    }
  }
}

/** Of more than one link. */
function isAddress(message: Message): boolean {
  const isOne = message.type === rt.RTM_NEWADDR || message.type === rt.RTM_DELADDR;
  return isOne && decodeAddress(message).scope === rt.RT_SCOPE_UNIVERSE;
}
