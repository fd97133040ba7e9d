/**
 * What connection tracking knows (`NETLINK_NETFILTER`, `linux/netfilter/nfnetlink_conntrack.h`). An entry has two tuples: where
 * packets come from and go to as they began, and the same of answers, which translation may have made another.
 */
import { parseIpv4Number } from '../../core/ip.ts';
import { AF, AF_OF } from '../native/socket.ts';
import { AttributeReader, PayloadWriter, parseAddress } from './attributes.ts';
import type { Message, Request } from './message.ts';
import { NLA_F_NESTED, NLM_F_DUMP } from './uapi/netlink.ts';
import { NFGENMSG_BYTES, NFNL_SUBSYS_CTNETLINK } from './uapi/nfnetlink.ts';
import * as ct from './uapi/nfnetlink-conntrack.ts';

/** An address; of IPv4 as a number, since there may be many. As {@link flowAddress} makes it of text. */
export type FlowAddress = number | string;

export interface FlowMessage {
  /** `IPPROTO_*`; -1: it is not told. */
  readonly protocol: number;
  /** Where its packets come from. Undefined: it is not told. */
  readonly source: FlowAddress | undefined;
  /** Where answers come from: what it goes to in the end. */
  readonly answerer: FlowAddress | undefined;
}

const GET = (NFNL_SUBSYS_CTNETLINK << 8) | ct.IPCTNL_MSG_CT_GET;
const DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | ct.IPCTNL_MSG_CT_DELETE;
/** In `CTA_FILTER_*_FLAGS` (`net/netfilter/nf_conntrack_netlink.c`): the tuple's source is compared. */
const BY_SOURCE = 1;

/** All entries, of both families. */
export function dumpFlows(): Request {
  return { type: GET, flags: NLM_F_DUMP, payload: begin(AF.UNSPEC).payload() };
}

/** Those that come from the address, or whose answers do. */
export function dumpFlowsOf(address: string, end: keyof Pick<FlowMessage, 'source' | 'answerer'>): Request {
  const ip = parseAddress(address);
  const [tuple, type] = [
    end === 'source' ? ct.CTA_TUPLE_ORIG : ct.CTA_TUPLE_REPLY,
    ip.family === 4 ? ct.CTA_IP_V4_SRC : ct.CTA_IP_V6_SRC,
  ];
  const writer = begin(AF_OF[ip.family]);
  const writeAddress = () => writer.nested(ct.CTA_TUPLE_IP, () => writer.ip(type, ip), NLA_F_NESTED);
  writer.nested(tuple, writeAddress, NLA_F_NESTED);
  const writeFlags = () =>
    writer
      .u32(ct.CTA_FILTER_ORIG_FLAGS, end === 'source' ? BY_SOURCE : 0)
      .u32(ct.CTA_FILTER_REPLY_FLAGS, end === 'answerer' ? BY_SOURCE : 0);
  writer.nested(ct.CTA_FILTER, writeFlags, NLA_F_NESTED);
  return { type: GET, flags: NLM_F_DUMP, payload: writer.payload() };
}

/** The entry that was told. `ENOENT` when it has ended meanwhile, also where another one has taken its place. */
export function deleteFlow({ view, start, end }: Message): Request {
  const name = [begin(view.getUint8(start)).payload()];
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  while (attributes.next()) {
    const { type } = attributes;
    if (type === ct.CTA_TUPLE_ORIG || type === ct.CTA_ID || type === ct.CTA_ZONE) name.push(attributes.raw());
  }
  return { type: DELETE, flags: 0, payload: Buffer.concat(name) };
}

/** Of what {@link dumpFlows} tells. */
export function decodeFlow({ view, start, end }: Message): FlowMessage {
  let protocol = -1;
  let source: FlowAddress | undefined;
  let answerer: FlowAddress | undefined;
  const attributes = new AttributeReader(view, start + NFGENMSG_BYTES, end);
  while (attributes.next()) {
    if (attributes.type === ct.CTA_TUPLE_ORIG) source = sourceOf(attributes.nested());
    else if (attributes.type === ct.CTA_TUPLE_REPLY) {
      answerer = sourceOf(attributes.nested());
      protocol = protocolOf(attributes.nested());
    }
  }
  return { protocol, source, answerer };
}

/** Of an address as text. */
export function flowAddress(address: string): FlowAddress {
  const value = parseIpv4Number(address);
  return value < 0 ? address : value;
}

function begin(family: number): PayloadWriter {
  return new PayloadWriter().header(NFGENMSG_BYTES, (view, at) => view.setUint8(at, family));
}

function protocolOf(tuple: AttributeReader): number {
  while (tuple.next()) {
    if (tuple.type !== ct.CTA_TUPLE_PROTO) continue;
    const of = tuple.nested();
    while (of.next()) if (of.type === ct.CTA_PROTO_NUM) return of.u8();
  }
  return -1;
}

function sourceOf(tuple: AttributeReader): FlowAddress | undefined {
  while (tuple.next()) {
    if (tuple.type !== ct.CTA_TUPLE_IP) continue;
    const ip = tuple.nested();
    while (ip.next()) {
      if (ip.type === ct.CTA_IP_V4_SRC) return ip.be32();
      if (ip.type === ct.CTA_IP_V6_SRC) return ip.ip();
    }
  }
  return undefined;
}
