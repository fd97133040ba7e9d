/** Numbers of netlink(7) by the names of the kernel's header `linux/netlink.h`. */

/** Protocols of `AF_NETLINK`. */
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

/** `struct nlmsghdr`: length, type (u16), flags (u16), sequence number, port id. */
export const NLMSG_HDRLEN = 16;

// Types of messages that every protocol has.
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

// Flags of all messages.
export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
/** What the dump tells of changed while it was made: it may be inconsistent. */
export const NLM_F_DUMP_INTR = 0x10;
// Of requests that read.
export const NLM_F_ROOT = 0x100;
export const NLM_F_MATCH = 0x200;
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH;
// Of requests that make.
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
// Of acknowledgements.
/** The request's payload was left out (`NETLINK_CAP_ACK`). */
export const NLM_F_CAPPED = 0x100;
/** Attributes `NLMSGERR_ATTR_*` follow (`NETLINK_EXT_ACK`). */
export const NLM_F_ACK_TLVS = 0x200;

/** `struct nlattr`: length (u16) with this header, type (u16). */
export const NLA_HDRLEN = 4;
export const NLA_F_NESTED = 1 << 15;
export const NLA_F_NET_BYTEORDER = 1 << 14;
export const NLA_TYPE_MASK = ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER);

export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;
export const NLMSGERR_ATTR_MISS_TYPE = 5;

// Options of the socket, level `SOL_NETLINK`.
export const NETLINK_ADD_MEMBERSHIP = 1;
/** Messages of groups from every namespace that has an id in the socket's own; the id comes as control message. */
export const NETLINK_LISTEN_ALL_NSID = 8;
export const NETLINK_CAP_ACK = 10;
export const NETLINK_EXT_ACK = 11;
/** Headers and attributes of a dump's request are checked, and filter what it tells. */
export const NETLINK_GET_STRICT_CHK = 12;
