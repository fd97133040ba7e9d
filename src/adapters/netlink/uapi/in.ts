/** Numbers by the names of the kernel's header `linux/in.h`. */

export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
