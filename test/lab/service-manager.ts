/**
 * `node service-manager.ts SOCKET COMMAND…`: holds a listening socket as systemd does. It never accepts, and starts the
 * service with the socket whenever a line comes on standard input. Everything happens within one turn of the event loop, for a turn would accept connections.
 */
import { spawnSync } from 'node:child_process';
import { readSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';

const [path, ...command] = process.argv.slice(2);
// The process id stays that of the shell which becomes the service.
const START = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=docker; exec "$0" "$@"';
const say = (line: string) => writeSync(1, `${line}\n`);

const server = createServer();
server.listen(path, () => {
  const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
  say('listening');
  while (readSync(0, Buffer.alloc(64)) > 0) {
    const argv = ['-c', START, ...command];
    const { status } = spawnSync('sh', argv, { stdio: ['ignore', 'inherit', 'inherit', fd] });
    say(`ended ${status}`);
  }
  process.exit();
});
