/** Ids of etcd's members: decimal on the wire (`proto/etcd`), 16 hex digits as etcd's own tools print them, and we. */

export function formatMemberId(decimal: string): string {
  return BigInt(decimal).toString(16).padStart(16, '0');
}

export function parseMemberId(hex: string): string {
  return BigInt(`0x${hex}`).toString();
}
