import { Buffer } from 'node:buffer';
import dnsPacket, { type DecodedPacket, type Packet, type RecordType } from 'dns-packet';
import { formatIp, requireIp } from '../../../../src/core/ip.ts';

/** A question as a client sends it, made by an independent codec. */
export function question(name: string, type: RecordType = 'A', change: Partial<Packet> = {}): Uint8Array {
  return dnsPacket.encode({
    type: 'query',
    id: 0x1234,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ name, type }],
    ...change,
  });
}

export function edns(udpPayloadSize: number): Packet {
  return {
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  };
}

export interface ReadReply extends DecodedPacket {
  readonly rcode: string;
}

/** A reply as a client reads it; throws when it is not a well-formed reply. */
export function read(reply: Uint8Array | undefined): ReadReply {
  if (reply === undefined) throw new Error('no reply');
  const packet = dnsPacket.decode(Buffer.from(reply)) as ReadReply;
  if (packet.type !== 'response') throw new Error('not a response');
  return packet;
}

/** Of either family, in canonical form, which the other codec does not write. */
export function addressesIn(reply: ReadReply): string[] {
  return (reply.answers ?? []).flatMap((answer) =>
    answer.type === 'A' || answer.type === 'AAAA' ? [formatIp(requireIp(answer.data, 'answer'))] : [],
  );
}
