/** Numbers by the names of the kernel's header `linux/if_link.h`, and what messages of links have of `linux/if.h` and others. */

// Flags of `struct ifinfomsg` (linux/if.h).
export const IFF_UP = 0x1;
export const IFF_NOARP = 0x80;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
/** Index of the link below, or of a veth's peer. */
export const IFLA_LINK = 5;
export const IFLA_MASTER = 10;
/** Of a bridge port, in messages of family `AF_BRIDGE`: `IFLA_BRPORT_*`. */
export const IFLA_PROTINFO = 12;
export const IFLA_LINKINFO = 18;
export const IFLA_AF_SPEC = 26;
export const IFLA_GROUP = 27;
export const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;
export const IFLA_NUM_TX_QUEUES = 31;
export const IFLA_NUM_RX_QUEUES = 32;
/** Id of the namespace that `IFLA_LINK` is in, where that is another one. */
export const IFLA_LINK_NETNSID = 37;
/** Bytes; of packets of IPv4 as well, up to 65,536. */
export const IFLA_GSO_MAX_SIZE = 41;

// Nested in IFLA_LINKINFO.
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_INFO_SLAVE_KIND = 4;
export const IFLA_INFO_SLAVE_DATA = 5;

// IFLA_INFO_DATA of kind "vxlan".
export const IFLA_VXLAN_ID = 1;
export const IFLA_VXLAN_LOCAL = 4;
export const IFLA_VXLAN_TTL = 5;
export const IFLA_VXLAN_LEARNING = 7;
export const IFLA_VXLAN_PROXY = 11;
/** Big endian. */
export const IFLA_VXLAN_PORT = 15;
export const IFLA_VXLAN_LOCAL6 = 17;
/** Over IPv4; over IPv6 there is a checksum unless the next two say otherwise. */
export const IFLA_VXLAN_UDP_CSUM = 18;
export const IFLA_VXLAN_UDP_ZERO_CSUM6_TX = 19;
export const IFLA_VXLAN_UDP_ZERO_CSUM6_RX = 20;

// IFLA_INFO_DATA of kind "bridge".
export const IFLA_BR_STP_STATE = 5;
export const IFLA_BR_MCAST_SNOOPING = 23;

/** In IFLA_INFO_DATA of kind "veth": `struct ifinfomsg` and attributes of the other end (`linux/veth.h`). */
export const VETH_INFO_PEER = 1;

// IFLA_INFO_SLAVE_DATA of kind "bridge", and IFLA_PROTINFO.
/** Hairpin. */
export const IFLA_BRPORT_MODE = 4;
export const IFLA_BRPORT_LEARNING = 8;
export const IFLA_BRPORT_UNICAST_FLOOD = 9;
export const IFLA_BRPORT_MCAST_FLOOD = 27;
export const IFLA_BRPORT_BCAST_FLOOD = 30;
export const IFLA_BRPORT_NEIGH_SUPPRESS = 32;
export const IFLA_BRPORT_ISOLATED = 33;
export const IFLA_BRPORT_LOCKED = 39;

// Nested in IFLA_AF_SPEC, below the family's number.
/** `net.ipv6.conf` of the link, an array of i32 by `DEVCONF_*`. */
export const IFLA_INET6_CONF = 2;
export const IFLA_INET6_ADDR_GEN_MODE = 8;

/** No IPv6 address is made when the link comes up. */
export const IN6_ADDR_GEN_MODE_NONE = 1;

// Places in IFLA_INET6_CONF (linux/ipv6.h).
export const DEVCONF_FORWARDING = 0;
export const DEVCONF_MTU6 = 2;
export const DEVCONF_ACCEPT_RA = 3;
export const DEVCONF_DISABLE_IPV6 = 26;
