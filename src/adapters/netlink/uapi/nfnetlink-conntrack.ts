/** Numbers by the names of the kernel's header `linux/netfilter/nfnetlink_conntrack.h`. */

export const IPCTNL_MSG_CT_GET = 1;
export const IPCTNL_MSG_CT_DELETE = 2;

/** From who began to the other, and back. */
export const CTA_TUPLE_ORIG = 1;
export const CTA_TUPLE_REPLY = 2;
export const CTA_ID = 12;
export const CTA_ZONE = 18;
/** Of a dump: what of the tuples beside it is compared. */
export const CTA_FILTER = 25;

// Nested in a tuple.
export const CTA_TUPLE_IP = 1;
export const CTA_TUPLE_PROTO = 2;
export const CTA_IP_V4_SRC = 1;
export const CTA_IP_V6_SRC = 3;
/** `IPPROTO_*`, u8. */
export const CTA_PROTO_NUM = 1;

// Nested in CTA_FILTER.
export const CTA_FILTER_ORIG_FLAGS = 1;
export const CTA_FILTER_REPLY_FLAGS = 2;
