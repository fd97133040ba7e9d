/** `node stream.ts SERVER NAME`: one connection; asks by it for the name's address, once and again for every line of its input. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { streamDecode, streamEncode } from 'dns-packet';

const [server = '', name = ''] = process.argv.slice(2);
const socket = connect(53, server);
const ask = () => socket.write(streamEncode({ id: 1, flags: 0x0100, questions: [{ type: 'A', name, class: 'IN' }] }));
let answers = 0;
socket.on('connect', ask);
socket.on('data', (bytes) => {
  const [answer] = streamDecode(bytes).answers ?? [];
  answers += 1;
  process.stdout.write(answers === 1 ? 'ready\n' : `${answer?.type === 'A' ? answer.data : 'nothing'}\n`);
});
socket.on('close', () => process.exit());
createInterface({ input: process.stdin })
  .on('line', ask)
  .on('close', () => process.exit());
