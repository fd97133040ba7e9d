/**
 * What nftables says of its changes (`NETLINK_NETFILTER`, `linux/netfilter/nf_tables.h`): which table something happened to; and
 * what its rules and the elements of its sets have counted. Tables themselves are read and written through libnftables.
 */
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import { NF_DROP } from './uapi/netfilter.ts';
import { NLM_F_DUMP } from './uapi/netlink.ts';
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
  const table = find(attributes, nl.NFTA_TABLE_NAME)?.text();
  return table === undefined ? undefined : { message, family: view.getUint8(start), table };
}

/** Asks how often the namespace's tables were changed. */
export function getGeneration(): Request {
  return { type: typeOf(nl.NFT_MSG_GETGEN), flags: 0, payload: begin(0).payload() };
}

/** Of `NFT_MSG_NEWGEN`. */
export function decodeGeneration({ view, start, end }: Message): number {
  return find(new AttributeReader(view, start + NFGENMSG_BYTES, end), nl.NFTA_GEN_ID)?.be32() ?? 0;
}

/** Asks for a table, without what is in it. `family`: `NFPROTO_*`. The kernel answers `ENOENT` where there is none. */
export function getTable(family: number, name: string): Request {
  return {
    type: typeOf(nl.NFT_MSG_GETTABLE),
    flags: 0,
    payload: begin(family).text(nl.NFTA_TABLE_NAME, name).payload(),
  };
}

/** Of `NFT_MSG_NEWTABLE`: `NFT_TABLE_F_*`, 0 when the table has none. */
export function decodeTableFlags({ view, start, end }: Message): number {
  return find(new AttributeReader(view, start + NFGENMSG_BYTES, end), nl.NFTA_TABLE_FLAGS)?.be32() ?? 0;
}

// ---------------------------------------------------------------- what was counted

/** A rule that counts. */
export interface RuleCount {
  readonly table: string;
  readonly chain: string;
  /** So far. */
  readonly packets: number;
  /** It drops what it counts. */
  readonly drops: boolean;
}

/** Asks for the rules of a table: chain by chain, each in its order. Where there is no such table there are none. */
export function dumpRules(family: number, table: string): Request {
  const payload = begin(family).text(nl.NFTA_RULE_TABLE, table).payload();
  return { type: typeOf(nl.NFT_MSG_GETRULE), flags: NLM_F_DUMP, payload };
}

/** Of what {@link dumpRules} tells. Undefined: the rule does not count. */
export function decodeRuleCount({ view, start, end }: Message): RuleCount | undefined {
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  let [table, chain] = ['', ''];
  let packets: number | undefined;
  let drops = false;
  while (attributes.next()) {
    if (attributes.type === nl.NFTA_RULE_TABLE) table = attributes.text();
    else if (attributes.type === nl.NFTA_RULE_CHAIN) chain = attributes.text();
    else if (attributes.type === nl.NFTA_RULE_EXPRESSIONS) {
      const expressions = attributes.nested();
      while (expressions.next()) {
        packets ??= countOf(expressions.nested());
        drops ||= isDrop(expressions.nested());
      }
    }
  }
  return packets === undefined ? undefined : { table, chain, packets, drops };
}

/** An element of a set of addresses. */
export interface ElementCount {
  readonly address: string;
  /** So far. */
  readonly packets: number;
}

/** Asks for the elements of a set. The kernel answers `ENOENT` where there is none. */
export function dumpElements(family: number, table: string, set: string): Request {
  const writer = begin(family).text(nl.NFTA_SET_ELEM_LIST_TABLE, table).text(nl.NFTA_SET_ELEM_LIST_SET, set);
  return { type: typeOf(nl.NFT_MSG_GETSETELEM), flags: NLM_F_DUMP, payload: writer.payload() };
}

/** Of what {@link dumpElements} tells, of which one message has many; those that are addresses and count. */
export function decodeElementCounts({ view, start, end }: Message): ElementCount[] {
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  const counts: ElementCount[] = [];
  while (attributes.next()) {
    if (attributes.type !== nl.NFTA_SET_ELEM_LIST_ELEMENTS) continue;
    const elements = attributes.nested();
    while (elements.next()) {
      const element = elements.nested();
      let address: string | undefined;
      let packets: number | undefined;
      while (element.next()) {
        if (element.type === nl.NFTA_SET_ELEM_KEY) address = find(element.nested(), nl.NFTA_DATA_VALUE)?.ip();
        else if (element.type === nl.NFTA_SET_ELEM_EXPR) packets = countOf(element.nested());
      }
      if (address !== undefined && packets !== undefined) counts.push({ address, packets });
    }
  }
  return counts;
}

/** Packets; undefined when the expression is no counter. */
function countOf(expression: AttributeReader): number | undefined {
  const counter = dataOf(expression, 'counter');
  return counter && find(counter, nl.NFTA_COUNTER_PACKETS)?.be64();
}

function isDrop(expression: AttributeReader): boolean {
  const immediate = dataOf(expression, 'immediate');
  const value = immediate && find(immediate, nl.NFTA_IMMEDIATE_DATA);
  const verdict = value && find(value.nested(), nl.NFTA_DATA_VERDICT);
  return verdict !== undefined && find(verdict.nested(), nl.NFTA_VERDICT_CODE)?.be32() === NF_DROP;
}

/** Of an expression of that name: the kernel tells the name first. */
function dataOf(expression: AttributeReader, name: string): AttributeReader | undefined {
  if (find(expression, nl.NFTA_EXPR_NAME)?.text() !== name) return undefined;
  return find(expression, nl.NFTA_EXPR_DATA)?.nested();
}

/** At the first attribute of that type from where it is; undefined where there is none. */
function find(attributes: AttributeReader, type: number): AttributeReader | undefined {
  while (attributes.next()) if (attributes.type === type) return attributes;
  return undefined;
}

function typeOf(message: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | message;
}

function begin(family: number): PayloadWriter {
  return new PayloadWriter().header(NFGENMSG_BYTES, (view, at) => view.setUint8(at, family));
}
