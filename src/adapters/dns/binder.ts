/**
 * Runs inside a network's namespace, as a child of the agent, with a port and addresses: binds the first address by
 * TCP, hands the socket over the IPC channel, does the same by UDP at the parent's word, goes on with the next address,
 * and ends when the parent disconnects or dies, whatever it was doing. Plain and small, for its start is all that binding
 * costs.
 *
 * The UDP socket is closed here in the turn in which it is sent, so that no question can be read by this process.
 */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const [port = '53', ...addresses] = process.argv.slice(2);
/** The address may be a moment behind the namespace. */
const RETRIES = 10;
const RETRY_MS = 50;

/** Longer than the parent waits: whatever became of it and of the channel, nothing is held for longer. */
const LIFE_MS = 15_000;

process.on('disconnect', () => process.exit());
setTimeout(() => process.exit(), LIFE_MS);

function fail(error: NodeJS.ErrnoException): void {
  process.send?.({ error: error.code ?? error.message }, () => process.disconnect());
}

function bindNext(): void {
  const address = addresses.shift();
  if (address !== undefined) bindTcp(address, RETRIES);
}

function bindTcp(address: string, retries: number): void {
  const server = createServer();
  server.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRNOTAVAIL' && retries > 0) setTimeout(() => bindTcp(address, retries - 1), RETRY_MS);
    else fail(error);
  });
  server.listen({ host: address, port: Number(port), backlog: 256 }, () => {
    process.once('message', () => {
      server.close();
      bindUdp(address);
    });
    process.send?.({ socket: 'tcp' }, server);
  });
}

function bindUdp(address: string): void {
  const socket = createSocket('udp4');
  socket.once('error', fail);
  socket.bind({ address, port: Number(port), exclusive: true }, () => {
    process.send?.({ socket: 'udp' }, socket);
    socket.close();
    bindNext();
  });
}

// Without a channel there is nobody to bind for: the parent has died already.
if (process.connected) bindNext();
else process.exit();
