/** Numbers by the names of the kernel's header `linux/net_namespace.h`. */

export const NETNSA_NSID = 1;
export const NETNSA_FD = 3;
export const NETNSA_NSID_NOT_ASSIGNED = -1;
