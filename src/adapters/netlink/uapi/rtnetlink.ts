/** Numbers of rtnetlink(7) by the names of the kernel's header `linux/rtnetlink.h`. */

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const RTM_NEWNETCONF = 80;
export const RTM_GETNETCONF = 82;
export const RTM_NEWNSID = 88;
export const RTM_DELNSID = 89;
export const RTM_GETNSID = 90;

/** Multicast groups. */
export const RTNLGRP_LINK = 1;
/** Neighbours and FDB rows. */
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV6_IFADDR = 9;
export const RTNLGRP_IPV6_ROUTE = 11;
export const RTNLGRP_IPV4_NETCONF = 24;
export const RTNLGRP_IPV6_NETCONF = 25;
export const RTNLGRP_NSID = 28;

/** `struct rtgenmsg` (family, u8), padded to four bytes. */
export const RTGENMSG_BYTES = 4;

/** `struct ifinfomsg`: family (u8), pad, type (u16), index (i32), flags (u32), change (u32). */
export const IFINFOMSG_BYTES = 16;

/** `struct rtmsg`: family, dst_len, src_len, tos, table, protocol, scope, type (u8 each), flags (u32). */
export const RTMSG_BYTES = 12;

export const RTA_DST = 1;
export const RTA_SRC = 2;
export const RTA_OIF = 4;
export const RTA_GATEWAY = 5;
export const RTA_PRIORITY = 6;
export const RTA_PREFSRC = 7;
export const RTA_METRICS = 8;
export const RTA_MULTIPATH = 9;
export const RTA_TABLE = 15;

export const RTAX_MTU = 2;

// What becomes of packets: all that a route may say.
export const RTN_UNSPEC = 0;
export const RTN_UNICAST = 1;
export const RTN_LOCAL = 2;
export const RTN_BROADCAST = 3;
export const RTN_ANYCAST = 4;
export const RTN_MULTICAST = 5;
export const RTN_BLACKHOLE = 6;
export const RTN_UNREACHABLE = 7;
export const RTN_PROHIBIT = 8;
export const RTN_THROW = 9;
export const RTN_NAT = 10;
export const RTN_XRESOLVE = 11;

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
export const RT_SCOPE_NOWHERE = 255;

export const RT_TABLE_UNSPEC = 0;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

export const RTPROT_UNSPEC = 0;
/** Made by the kernel itself, for an address. */
export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;
/** Told by a router, to a daemon that listens in the kernel's place. */
export const RTPROT_RA = 9;

/** The gateway is taken to be on the link, whatever its subnets are. */
export const RTNH_F_ONLINK = 4;
/** `struct rtnexthop`: length (u16), flags (u8), hops (u8), interface index (i32). */
export const RTNEXTHOP_BYTES = 8;

export const RTM_F_CLONED = 0x200;
/** A look-up answers with the table that the route was found in. */
export const RTM_F_LOOKUP_TABLE = 0x1000;

/** For `IFLA_EXT_MASK`: counters are left out, most of what is told of a link. */
export const RTEXT_FILTER_SKIP_STATS = 1 << 3;
