/**
 * Opens COUNT connections to ADDRESS, port 53, from each SOURCE in turn, sends a single byte on each and nothing
 * more. Prints `ready` when every one is open or refused; ends with its standard input.
 */
import { connect } from 'node:net';

const [address = '', count = '0', ...sources] = process.argv.slice(2);
let settled = 0;
for (let i = 0; i < Number(count); i++) {
  const localAddress = sources[i % sources.length] ?? '';
  const socket = connect({ host: address, port: 53, localAddress });
  let counted = false;
  const settle = () => {
    if (!counted) settled += 1;
    counted = true;
    if (settled === Number(count)) process.stdout.write('ready\n');
  };
  socket.on('connect', () => socket.write(Buffer.from([0])));
  socket.on('connect', settle);
  socket.on('error', settle);
}
process.stdin.resume().on('end', () => process.exit(0));
