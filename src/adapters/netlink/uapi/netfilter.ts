/** Numbers by the names of the kernel's header `linux/netfilter.h`. */

export const NF_DROP = 0;
export const NF_ACCEPT = 1;
export const NF_INET_LOCAL_OUT = 3;

export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_BRIDGE = 7;
