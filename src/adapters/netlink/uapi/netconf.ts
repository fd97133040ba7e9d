/** Numbers by the names of the kernel's header `linux/netconf.h`. */

/** `struct netconfmsg` (family, u8), padded to four bytes. */
export const NETCONFMSG_BYTES = 4;

export const NETCONFA_IFINDEX = 1;
export const NETCONFA_FORWARDING = 2;
/** In place of an interface's index: `net.ipv4.conf.all`. */
export const NETCONFA_IFINDEX_ALL = -1;
