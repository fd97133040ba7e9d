import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { decode, encode, type Packet, RECURSION_AVAILABLE } from 'dns-packet';

/**
 * `node upstream-resolver.ts ADDRESS`: the name server of the lab's outside world. `*.example` is ADDRESS, of one family
 * alone, and `big.example` has 100 of IPv4; everything else is NXDOMAIN. Every question is one line on standard output.
 */
const address = process.argv[2]!;
const isIpv6 = address.includes(':');
const type: 'A' | 'AAAA' = isIpv6 ? 'AAAA' : 'A';

function answer(query: Packet, limit: number): Buffer {
  const question = query.questions?.[0];
  const name = question?.name.toLowerCase() ?? '';
  console.log(`${question?.type} ${name}`);
  const known = name === 'example' || name.endsWith('.example');
  const count = name === 'big.example' ? 100 : 1;
  const answers =
    known && question?.type === type
      ? Array.from({ length: count }, (_, index) => ({
          type,
          name: question.name,
          ttl: 60,
          data: count === 1 ? address : `198.51.100.${index + 1}`,
        }))
      : [];
  const flags = RECURSION_AVAILABLE | 0x0100 | (known ? 0 : 3);
  const whole: Packet = { type: 'response', ...(query.id === undefined ? {} : { id: query.id }), flags };
  const questions = query.questions ?? [];
  const bytes = encode({ ...whole, questions, answers });
  return bytes.length <= limit ? bytes : encode({ ...whole, flags: flags | 0x0200, questions });
}

const udp = createSocket(isIpv6 ? 'udp6' : 'udp4');
udp.on('message', (message, from) => udp.send(answer(decode(message), 512), from.port, from.address));

const tcp = createServer((socket) => {
  let held = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
      const end = 2 + held.readUInt16BE(0);
      const reply = answer(decode(held.subarray(2, end)), 65_535);
      const size = Buffer.alloc(2);
      size.writeUInt16BE(reply.length);
      socket.write(Buffer.concat([size, reply]));
      held = held.subarray(end);
    }
  });
});

udp.bind(53, address, () => tcp.listen(53, address, () => console.log('listening')));
