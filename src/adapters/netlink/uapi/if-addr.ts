/** Numbers by the names of the kernel's header `linux/if_addr.h`. */

/** `struct ifaddrmsg`: family, prefixlen, flags, scope (u8 each), index (u32). */
export const IFADDRMSG_BYTES = 8;

/** Of the other end where the link has two; else the same as `IFA_LOCAL`. */
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;
/** All of the flags; the header has room for eight of them. */
export const IFA_FLAGS = 8;

/** Of IPv6, made for privacy; of IPv4 the same bit says that another one of the link comes first. */
export const IFA_F_TEMPORARY = 0x01;
/** No duplicate address detection. */
export const IFA_F_NODAD = 0x02;
/** Duplicate address detection found another one, and the address is not used. */
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_DEPRECATED = 0x20;
/** Duplicate address detection is under way, and the address is not used before. */
export const IFA_F_TENTATIVE = 0x40;
