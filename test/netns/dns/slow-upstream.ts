/** `node slow-upstream.ts ADDRESS MS`: an upstream server that answers every name after so long. Prints `ready`; ends with its input. */
import { createSocket } from 'node:dgram';
import { decode, encode, RECURSION_AVAILABLE } from 'dns-packet';

const [address = '', ms = ''] = process.argv.slice(2);
const socket = createSocket('udp4');
socket.on('message', (message, from) => {
  const { id = 0, flags = 0, questions = [] } = decode(message);
  const answers = questions.map(({ name }) => ({ name, type: 'A' as const, ttl: 60, data: '198.51.100.7' }));
  const reply = encode({ type: 'response', id, flags: flags | RECURSION_AVAILABLE, questions, answers });
  setTimeout(() => socket.send(reply, from.port, from.address), Number(ms));
});
socket.bind(53, address, () => process.stdout.write('ready\n'));
process.stdin.resume().on('end', () => process.exit());
