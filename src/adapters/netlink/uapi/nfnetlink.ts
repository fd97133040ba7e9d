/** Numbers by the names of the kernel's headers `linux/netfilter/nfnetlink.h` and `linux/netfilter/nf_tables.h`. */

/** Multicast group of `NETLINK_NETFILTER`. */
export const NFNLGRP_NFTABLES = 7;
export const NFNL_SUBSYS_NFTABLES = 10;

/** `struct nfgenmsg`: family (u8), version (u8), resource id (u16, big endian). */
export const NFGENMSG_BYTES = 4;

export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_BRIDGE = 7;

// Types of messages: the subsystem in the upper byte, one of these in the lower.
export const NFT_MSG_NEWTABLE = 0;
export const NFT_MSG_GETTABLE = 1;
export const NFT_MSG_DELTABLE = 2;
export const NFT_MSG_NEWCHAIN = 3;
export const NFT_MSG_DELCHAIN = 5;
export const NFT_MSG_NEWRULE = 6;
export const NFT_MSG_DELRULE = 8;
export const NFT_MSG_NEWSET = 9;
export const NFT_MSG_DELSET = 11;
export const NFT_MSG_NEWSETELEM = 12;
export const NFT_MSG_DELSETELEM = 14;
export const NFT_MSG_NEWGEN = 15;
export const NFT_MSG_GETGEN = 16;

/** The table's name; one number in messages of tables, chains, rules, sets and elements. */
export const NFTA_TABLE_NAME = 1;
export const NFTA_SET_TABLE = 1;
export const NFTA_SET_ELEM_LIST_TABLE = 1;
/** `NFT_TABLE_F_*` (dormant, owner, persist); big endian. */
export const NFTA_TABLE_FLAGS = 2;
/** How often the namespace's tables were changed; big endian. */
export const NFTA_GEN_ID = 1;
