/**
 * `node echo-answer.ts ADDRESS PORT`: answers every DNS question with the question and one address. The least that a name
 * server in Node does, and a fast one to forward to. Says "ready".
 */
import { createSocket } from 'node:dgram';

const [address, port] = process.argv.slice(2) as [string, string];
const HEADER_BYTES = 12;
/** A pointer to the question's name, A, IN, 60 s, four bytes. */
const ANSWER = Buffer.from([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);

const socket = createSocket('udp4');
socket.on('message', (message, from) => {
  let end = HEADER_BYTES;
  for (let length = message[end]!; length > 0; length = message[end]!) end += length + 1;
  const reply = Buffer.concat([message.subarray(0, end + 5), ANSWER]);
  // Response, recursion available; one question, one answer, nothing more.
  reply.writeUInt16BE(0x8180, 2);
  reply.set([0, 1, 0, 1, 0, 0, 0, 0], 4);
  socket.send(reply, from.port, from.address);
});
process.stdin.resume().once('end', () => process.exit());
socket.bind(Number(port), address, () => console.log('ready'));
