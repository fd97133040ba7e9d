/**
 * What is asked of the kernel's thread for WireGuard, and what it tells: plain values. The place is the namespace that holds
 * the devices; what is made by a backend outside of the kernel is moved there.
 */
import type { DeviceChange, DeviceMessage } from '../netlink/wireguard.ts';

/** A link of the place. */
export interface PlaceLink {
  readonly name: string;
  readonly index: number;
  /** `wireguard`; `tun`: of the one that this link stands for, where that is whole; `veth` … */
  readonly kind: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Of IPv4, canonical CIDRs. */
  readonly addresses: readonly string[];
  /** Of kind `wireguard`. */
  readonly device: DeviceMessage | undefined;
}

export interface PlaceSeen {
  /** Id by which events of the host's namespace name it; undefined: it has none. */
  readonly nsid: number | undefined;
  readonly links: readonly PlaceLink[];
  /** The way to the pool: link, and source. */
  readonly route: { readonly link: string; readonly source: string | undefined } | undefined;
}

export type PlaceStep =
  /** Unless it is there. */
  | { readonly kind: 'make-place' }
  /** With all that is in it; unless it is gone. */
  | { readonly kind: 'delete-place' }
  /** A device of the kernel's module, whose sockets are the host's. */
  | { readonly kind: 'make-link'; readonly name: string; readonly mtu: number }
  /** The tun of a `wireguard-go`, from the host: to a namespace of its own, a link of its name stands for it in the place. */
  | { readonly kind: 'move-link'; readonly name: string }
  /** In the place and in the host; unless it is gone. */
  | { readonly kind: 'delete-link'; readonly name: string }
  | { readonly kind: 'set-link'; readonly name: string; readonly mtu: number }
  | { readonly kind: 'set-up'; readonly name: string }
  /** A /32, the only one of the link; the route follows, where it led by the link. */
  | { readonly kind: 'set-address'; readonly name: string; readonly address: string }
  | { readonly kind: 'send-by'; readonly name: string; readonly address: string }
  /** Of the kernel's module. */
  | { readonly kind: 'configure'; readonly device: DeviceChange };

/** The first step that was refused; those after it were not begun. `code`: a name of errno(3), or empty. */
export interface StepRefusal {
  readonly step: number;
  readonly code: string;
  readonly message: string;
}
