/**
 * What nftables says of its changes (`NETLINK_NETFILTER`, `linux/netfilter/nf_tables.h`): which table something happened to.
 * Tables themselves are read and written through libnftables.
 */
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import * as nl from './uapi/nf-tables.ts';
import { NFGENMSG_BYTES, NFNL_SUBSYS_NFTABLES } from './uapi/nfnetlink.ts';

/** A change of a table, or of what is in it. */
export interface TableEvent {
  /** `NFT_MSG_*`. */
  readonly message: number;
  /** `NFPROTO_*`. */
  readonly family: number;
  readonly table: string;
}

/** Undefined when it is none of nftables', or only says that a transaction is over (`NFT_MSG_NEWGEN`). */
export function decodeTableEvent({ type, view, start, end }: Message): TableEvent | undefined {
  const message = type & 0xff;
  if (type >>> 8 !== NFNL_SUBSYS_NFTABLES || message === nl.NFT_MSG_NEWGEN) return undefined;
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  // The first one in all of these messages but those of a table's end by handle alone.
  while (attributes.next()) {
    if (attributes.type === nl.NFTA_TABLE_NAME)
      return { message, family: view.getUint8(start), table: attributes.text() };
  }
  return undefined;
}

/** Asks how often the namespace's tables were changed. */
export function getGeneration(): Request {
  const writer = new PayloadWriter().header(NFGENMSG_BYTES, () => undefined);
  return { type: (NFNL_SUBSYS_NFTABLES << 8) | nl.NFT_MSG_GETGEN, flags: 0, payload: writer.payload() };
}

/** Of `NFT_MSG_NEWGEN`. */
export function decodeGeneration({ view, start, end }: Message): number {
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  while (attributes.next()) if (attributes.type === nl.NFTA_GEN_ID) return attributes.be32();
  return 0;
}

/** Asks for a table, without what is in it. `family`: `NFPROTO_*`. The kernel answers `ENOENT` where there is none. */
export function getTable(family: number, name: string): Request {
  const writer = new PayloadWriter().header(NFGENMSG_BYTES, (view, at) => view.setUint8(at, family));
  const payload = writer.text(nl.NFTA_TABLE_NAME, name).payload();
  return { type: (NFNL_SUBSYS_NFTABLES << 8) | nl.NFT_MSG_GETTABLE, flags: 0, payload };
}

/** Of `NFT_MSG_NEWTABLE`: `NFT_TABLE_F_*`, 0 when the table has none. */
export function decodeTableFlags({ view, start, end }: Message): number {
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  while (attributes.next()) if (attributes.type === nl.NFTA_TABLE_FLAGS) return attributes.be32();
  return 0;
}
