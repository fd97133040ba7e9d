/** Numbers by the names of the kernel's headers `linux/sock_diag.h`, `linux/inet_diag.h` and `linux/tcp.h`. */

export const SOCK_DIAG_BY_FAMILY = 20;
export const SOCK_DESTROY = 21;

// States of a socket (net/tcp_states.h).
export const TCP_ESTABLISHED = 1;
export const TCP_CLOSE_WAIT = 8;
export const TCP_LISTEN = 10;

/** `struct inet_diag_sockid`: ports (u16, big endian), addresses (16 bytes each), link (u32), cookie (2 x u32). */
export const SOCKID_BYTES = 48;
/** `struct inet_diag_req_v2`: family, protocol, extensions, padding (u8 each), states (u32), the socket's id. */
export const DIAG_REQUEST_BYTES = 8 + SOCKID_BYTES;
/** Where the id begins in `struct inet_diag_msg`: after family, state, timer, retransmissions (u8 each). */
export const DIAG_ID_AT = 4;
export const DIAG_MESSAGE_BYTES = DIAG_ID_AT + SOCKID_BYTES + 20;
/** Where the number of its inode stands, the last word (u32); before it expiry, queues and user (u32 each). */
export const DIAG_INODE_AT = DIAG_MESSAGE_BYTES - 4;

/** An attribute of the answer, `struct tcp_info`; asked for by the bit before it. */
export const INET_DIAG_INFO = 2;
/** Where in it milliseconds stand since data came last, and since anything was acknowledged (u32 each). */
export const TCPI_LAST_DATA_RECV_AT = 52;
export const TCPI_LAST_ACK_RECV_AT = 56;
