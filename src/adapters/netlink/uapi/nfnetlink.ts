/** Numbers by the names of the kernel's header `linux/netfilter/nfnetlink.h`. */

/** Multicast group of `NETLINK_NETFILTER`. */
export const NFNLGRP_NFTABLES = 7;

/** Subsystems, the upper byte of a message's type. */
export const NFNL_SUBSYS_CTNETLINK = 1;
export const NFNL_SUBSYS_NFTABLES = 10;

/** `struct nfgenmsg`: family (u8), version (u8), resource id (u16, big endian). */
export const NFGENMSG_BYTES = 4;

// Around the messages of one transaction; their resource id is the subsystem's.
export const NFNL_MSG_BATCH_BEGIN = 0x10;
export const NFNL_MSG_BATCH_END = 0x11;
