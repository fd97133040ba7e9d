/** Numbers by the names of the kernel's headers `linux/net_namespace.h` and `linux/netconf.h`. */

/** `struct rtgenmsg` (family, u8), padded to four bytes. */
export const RTGENMSG_BYTES = 4;

export const NETNSA_NSID = 1;
export const NETNSA_FD = 3;
export const NETNSA_NSID_NOT_ASSIGNED = -1;

/** `struct netconfmsg` (family, u8), padded to four bytes. */
export const NETCONFMSG_BYTES = 4;

export const NETCONFA_IFINDEX = 1;
export const NETCONFA_FORWARDING = 2;
/** In place of an interface's index: `net.ipv4.conf.all`. */
export const NETCONFA_IFINDEX_ALL = -1;
