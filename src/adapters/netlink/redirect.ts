/**
 * What a namespace sends to one address and port goes to other ports of that address, as long as somebody holds the
 * redirection: it is a table of nftables that belongs to a netlink socket (`flags owner`, Linux 5.12). The kernel takes it
 * away when that is closed, however its process ends, and lets nobody else change it, nor flush it. Of several rules that would
 * translate a connection the first one does; ours stand before those that iptables writes (priority -100).
 *
 * The messages are written here: a context of libnftables for each namespace would cost much more memory than its socket.
 */
import { OverlaydError } from '../../core/errors.ts';
import { requireIp } from '../../core/ip.ts';
import { closeLater, MSG, receive, send } from '../native/socket.ts';
import { PayloadWriter } from './attributes.ts';
import { decodeError, encodeMessage, messageBytes, messagesOf, type Request } from './message.ts';
import { outcomeOf } from './socket.ts';
import { openNetlink } from './transport.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from './uapi/in.ts';
import { NF_ACCEPT, NF_INET_LOCAL_OUT, NFPROTO_IPV4 } from './uapi/netfilter.ts';
import {
  NETLINK_NETFILTER,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_REQUEST,
  NLMSG_ERROR,
} from './uapi/netlink.ts';
import * as nft from './uapi/nf-tables.ts';
import * as nfnl from './uapi/nfnetlink.ts';

export interface Redirection {
  /** Names the table: one of that name is nobody else's. */
  readonly table: string;
  /** IPv4. */
  readonly address: string;
  readonly port: number;
  /** At the same address. */
  readonly to: { readonly udp: number; readonly tcp: number };
  /** What has this mark (`SO_MARK`) goes where it would go without us. */
  readonly exceptMark: number;
}

const CHAIN = 'output';
/** Before the kernel's own of destination NAT, which is -100. */
const PRIORITY = -110;
const PROTOCOL = { tcp: IPPROTO_TCP, udp: IPPROTO_UDP } as const;
/** Of the headers: the destination's address, and its port. */
const ADDRESS_AT = 16;
const PORT_AT = 2;

/**
 * Returns what takes it away, which it is when that resolves. Throws `data-path-failed` with the kernel's words, and what opening
 * the namespace throws.
 */
export function holdRedirection(namespacePath: string, redirection: Redirection): () => Promise<void> {
  const fd = openNetlink(NETLINK_NETFILTER, namespacePath);
  try {
    transact(fd, redirectionRequests(redirection));
    return () => closeLater(fd);
  } catch (error) {
    void closeLater(fd);
    throw error;
  }
}

/** The requests of one transaction. */
function redirectionRequests({ table, address, port, to, exceptMark }: Redirection): Request[] {
  const request = (message: number, flags: number, fill: (writer: PayloadWriter) => void): Request => {
    const writer = new PayloadWriter().header(nfnl.NFGENMSG_BYTES, (view, at) => view.setUint8(at, NFPROTO_IPV4));
    fill(writer);
    return { type: (nfnl.NFNL_SUBSYS_NFTABLES << 8) | message, flags, payload: writer.payload() };
  };
  const rule = (protocol: keyof typeof PROTOCOL) =>
    request(nft.NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, (writer) => {
      writer.text(nft.NFTA_RULE_TABLE, table).text(nft.NFTA_RULE_CHAIN, CHAIN);
      writer.nested(nft.NFTA_RULE_EXPRESSIONS, (list) => {
        const expressions = new Expressions(list);
        expressions.payload(nft.NFT_PAYLOAD_NETWORK_HEADER, ADDRESS_AT, 4).compare(bytesOf(address));
        expressions.meta(nft.NFT_META_MARK).compare(ofHost(exceptMark), nft.NFT_CMP_NEQ);
        expressions.meta(nft.NFT_META_L4PROTO).compare(Uint8Array.of(PROTOCOL[protocol]));
        expressions.payload(nft.NFT_PAYLOAD_TRANSPORT_HEADER, PORT_AT, 2).compare(ofNetwork(port));
        expressions.immediate(nft.NFT_REG_1, bytesOf(address)).immediate(nft.NFT_REG_2, ofNetwork(to[protocol]));
        expressions.translate();
      });
    });
  return [
    request(nft.NFT_MSG_NEWTABLE, NLM_F_CREATE, (writer) => {
      writer.text(nft.NFTA_TABLE_NAME, table);
      writer.bytes(nft.NFTA_TABLE_FLAGS, be32(nft.NFT_TABLE_F_OWNER));
    }),
    request(nft.NFT_MSG_NEWCHAIN, NLM_F_CREATE, (writer) => {
      writer.text(nft.NFTA_CHAIN_TABLE, table).text(nft.NFTA_CHAIN_NAME, CHAIN);
      writer.nested(nft.NFTA_CHAIN_HOOK, (hook) => {
        hook.bytes(nft.NFTA_HOOK_HOOKNUM, be32(NF_INET_LOCAL_OUT));
        hook.bytes(nft.NFTA_HOOK_PRIORITY, be32(PRIORITY));
      });
      writer.bytes(nft.NFTA_CHAIN_POLICY, be32(NF_ACCEPT)).text(nft.NFTA_CHAIN_TYPE, 'nat');
    }),
    rule('udp'),
    rule('tcp'),
  ];
}

/** A rule's, one behind the other; what is compared was loaded just before. */
class Expressions {
  readonly #list: PayloadWriter;

  constructor(list: PayloadWriter) {
    this.#list = list;
  }

  payload(base: number, offset: number, length: number): this {
    return this.#add('payload', (data) => {
      data.bytes(nft.NFTA_PAYLOAD_DREG, be32(nft.NFT_REG_1)).bytes(nft.NFTA_PAYLOAD_BASE, be32(base));
      data.bytes(nft.NFTA_PAYLOAD_OFFSET, be32(offset)).bytes(nft.NFTA_PAYLOAD_LEN, be32(length));
    });
  }

  meta(key: number): this {
    return this.#add('meta', (data) =>
      data.bytes(nft.NFTA_META_DREG, be32(nft.NFT_REG_1)).bytes(nft.NFTA_META_KEY, be32(key)),
    );
  }

  compare(value: Uint8Array, operation: number = nft.NFT_CMP_EQ): this {
    return this.#add('cmp', (data) => {
      data.bytes(nft.NFTA_CMP_SREG, be32(nft.NFT_REG_1)).bytes(nft.NFTA_CMP_OP, be32(operation));
      data.nested(nft.NFTA_CMP_DATA, (compared) => compared.bytes(nft.NFTA_DATA_VALUE, value));
    });
  }

  immediate(register: number, value: Uint8Array): this {
    return this.#add('immediate', (data) => {
      data.bytes(nft.NFTA_IMMEDIATE_DREG, be32(register));
      data.nested(nft.NFTA_IMMEDIATE_DATA, (immediate) => immediate.bytes(nft.NFTA_DATA_VALUE, value));
    });
  }

  translate(): this {
    return this.#add('nat', (data) => {
      data.bytes(nft.NFTA_NAT_TYPE, be32(nft.NFT_NAT_DNAT)).bytes(nft.NFTA_NAT_FAMILY, be32(NFPROTO_IPV4));
      data.bytes(nft.NFTA_NAT_REG_ADDR_MIN, be32(nft.NFT_REG_1));
      data.bytes(nft.NFTA_NAT_REG_PROTO_MIN, be32(nft.NFT_REG_2));
    });
  }

  #add(name: string, fill: (data: PayloadWriter) => void): this {
    this.#list.nested(nft.NFTA_LIST_ELEM, (element) => {
      element.text(nft.NFTA_EXPR_NAME, name).nested(nft.NFTA_EXPR_DATA, fill);
    });
    return this;
  }
}

/** The kernel works on what is sent while it is sent: what it has to say is there when that returns. */
function transact(fd: number, requests: readonly Request[]): void {
  const around = (type: number): Request => {
    const fill = (view: DataView, at: number) => view.setUint16(at + 2, nfnl.NFNL_SUBSYS_NFTABLES);
    return { type, flags: 0, payload: new PayloadWriter().header(nfnl.NFGENMSG_BYTES, fill).payload() };
  };
  const all = [around(nfnl.NFNL_MSG_BATCH_BEGIN), ...requests, around(nfnl.NFNL_MSG_BATCH_END)];
  const datagram = new Uint8Array(all.reduce((bytes, each) => bytes + messageBytes(each), 0));
  let at = 0;
  all.forEach((each, sequence) => {
    const isAround = sequence === 0 || sequence === all.length - 1;
    at = encodeMessage(each, isAround ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK, sequence, datagram, at);
  });
  send(fd, datagram);
  const buffer = new Uint8Array(8 * 1024);
  let answered = 0;
  for (;;) {
    const bytes = receive(fd, buffer, MSG.DONTWAIT);
    if (bytes === undefined) break;
    for (const message of messagesOf(buffer.subarray(0, bytes))) {
      if (message.type !== NLMSG_ERROR) continue;
      const outcome = outcomeOf(decodeError(message));
      if (!outcome.ok) throw refusal(outcome.text);
      answered += 1;
    }
  }
  if (answered < requests.length) throw refusal('it did not answer');
}

function refusal(words: string): OverlaydError {
  return new OverlaydError(
    'data-path-failed',
    `the kernel does not redirect questions inside a container: ${words}; it takes nftables with NAT, of Linux 5.12 or later`,
    { retryable: true },
  );
}

function bytesOf(address: string): Uint8Array {
  return new PayloadWriter().ip(0, requireIp(address, 'address')).payload().slice(4);
}

function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value);
  return bytes;
}

function ofNetwork(port: number): Uint8Array {
  return Uint8Array.of(port >>> 8, port & 0xff);
}

/** As a mark is in a register: in the host's order. */
function ofHost(mark: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, mark, true);
  return bytes;
}
