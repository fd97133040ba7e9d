/** A service with the plugin server on a socket that was passed on; tells what of that its own children would get. */
import { spawnSync } from 'node:child_process';
import { servePlugin } from '../../../../src/adapters/docker/plugin-server.ts';
import { takeActivatedSockets } from '../../../../src/adapters/socket-activation.ts';
import { systemClock } from '../../../../src/adapters/system/time.ts';
import type { Logger } from '../../../../src/ports/runtime.ts';

const fd = takeActivatedSockets(process.env, process.pid).get('docker');
if (fd === undefined) throw new Error('no socket was passed on');
const child = spawnSync('sh', ['-c', 'env | grep ^LISTEN_; ls -l /proc/self/fd | grep socket:'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
});
const lines = child.stdout.split('\n');
const found = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).join(', ') || 'none';
const report = () =>
  Promise.reject(new Error(`variables: ${found(/^LISTEN_/)}; sockets of a child: ${found(/socket:/)}`));

const logger: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => logger };
const quit = new AbortController();
process.once('SIGTERM', () => quit.abort());
const server = await servePlugin(
  {
    handlers: {
      ...{ createNetwork: report, deleteNetwork: report, createEndpoint: report, join: report, leave: report },
      ...{ deleteEndpoint: report, programExternalConnectivity: report, requestPool: report, releasePool: report },
      ...{ requestAddress: report, releaseAddress: report },
    },
    clock: systemClock,
    logger,
  },
  { socket: { fd } },
  quit.signal,
);
process.stdout.write(`service ${process.pid}\n`);
await server.ended;
