/**
 * Binds the addresses in the namespace of that path, as an agent does, and prints `ready`. Arguments: path, addresses.
 * Ends when it is killed.
 */
import { SocketListeners } from '../../../src/adapters/dns/listeners.ts';
import type { Logger } from '../../../src/ports.ts';

const [namespacePath = '', ...addresses] = process.argv.slice(2);
const silent = () => undefined;
const logger: Logger = { error: silent, warn: silent, info: silent, debug: silent, child: () => logger };
const binderPath = new URL('../../../src/adapters/dns/binder.ts', import.meta.url).pathname;
const listeners = new SocketListeners({ handler: silent, logger }, { binderPath, nodePath: process.execPath });
process.stdout.write('begins\n');
await listeners.ensure({ networkId: 'x', namespacePath, addresses });
process.stdout.write('ready\n');
setInterval(silent, 60_000);
