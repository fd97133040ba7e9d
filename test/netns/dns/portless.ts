/** `node portless.ts SERVER NAME`: asks for the name's address from port 0, to which nothing can be sent. Prints `ready`. */
import { encode } from 'dns-packet';
import {
  AF,
  closeDescriptor,
  connectSocket,
  inetAddress,
  openSocket,
  SOCK,
  send,
} from '../../../src/adapters/native/socket.ts';

const [server = '', name = ''] = process.argv.slice(2);
const UDP = 17;
const HEADER_BYTES = 8;

const question = encode({ id: 1, flags: 0x0100, questions: [{ type: 'A', name, class: 'IN' }] });
const datagram = Buffer.alloc(HEADER_BYTES + question.length);
datagram.writeUInt16BE(53, 2);
datagram.writeUInt16BE(datagram.length, 4);
datagram.set(question, HEADER_BYTES);
const socket = openSocket(AF.INET, SOCK.RAW, UDP);
connectSocket(socket, inetAddress(server, 0));
send(socket, datagram);
closeDescriptor(socket);
process.stdout.write('ready\n');
process.stdin.resume().on('end', () => process.exit());
