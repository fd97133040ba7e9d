/** Numbers by the names of the kernel's header `linux/neighbour.h`. */

/** `struct ndmsg`: family (u8), three of padding, interface index (i32), state (u16), flags (u8), type (u8). */
export const NDMSG_BYTES = 12;

export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NDA_VLAN = 5;
/** Big endian. */
export const NDA_PORT = 6;
export const NDA_IFINDEX = 8;
export const NDA_MASTER = 9;

export const NTF_SELF = 0x02;
export const NTF_MASTER = 0x04;

// States: all that a row may have.
export const NUD_INCOMPLETE = 0x01;
export const NUD_REACHABLE = 0x02;
export const NUD_STALE = 0x04;
export const NUD_DELAY = 0x08;
export const NUD_PROBE = 0x10;
export const NUD_FAILED = 0x20;
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
