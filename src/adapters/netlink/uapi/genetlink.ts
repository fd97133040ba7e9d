/** Numbers by the names of the kernel's header `linux/genetlink.h`. */

/** `struct genlmsghdr`: command (u8), version (u8), two of padding. */
export const GENL_HDRLEN = 4;

/** The family that tells of families. */
export const GENL_ID_CTRL = 0x10;
export const CTRL_CMD_GETFAMILY = 3;
export const CTRL_ATTR_FAMILY_ID = 1;
export const CTRL_ATTR_FAMILY_NAME = 2;
