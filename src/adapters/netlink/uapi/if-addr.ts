/** Numbers by the names of the kernel's header `linux/if_addr.h`. */

/** `struct ifaddrmsg`: family, prefixlen, flags, scope (u8 each), index (u32). */
export const IFADDRMSG_BYTES = 8;

/** Of the other end where the link has two; else the same as `IFA_LOCAL`. */
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;
export const IFA_BROADCAST = 4;
export const IFA_FLAGS = 8;
