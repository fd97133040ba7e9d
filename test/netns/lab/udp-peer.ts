/**
 * Sends a datagram to each of `HOST:PORT…` from UDP port `PORT` ten times a second, and says once who is heard, as it is
 * seen here: `heard HOST:PORT`.
 */
import { createSocket } from 'node:dgram';

const [port, ...targets] = process.argv.slice(2);
const heard = new Set<string>();
const socket = createSocket('udp4');
socket.on('error', () => undefined);
socket.on('message', (_, { address, port: from }) => {
  const name = `${address}:${from}`;
  if (!heard.has(name)) console.log(`heard ${name}`);
  heard.add(name);
});
socket.bind(Number(port), () => {
  console.log('listens');
  setInterval(() => {
    for (const target of targets) {
      const [host, to] = target.split(':');
      socket.send('x', Number(to), host);
    }
  }, 100);
});
