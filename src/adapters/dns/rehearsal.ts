/**
 * Sockets are opened and closed once, before anybody needs any: what is done for the first time takes several times as long, and
 * the first container of a host would wait for it.
 */
import type { Logger } from '../../ports/runtime.ts';
import { SocketListeners } from './listeners.ts';

const ignore = () => undefined;
const SILENT: Logger = { error: ignore, warn: ignore, info: ignore, debug: ignore, child: () => SILENT };

/** At a port that nobody knows, of this host alone; nothing is answered there. Never rejects. `task`: as of `SocketListeners`. */
export async function rehearse(task: string): Promise<void> {
  const listeners = new SocketListeners({ handler: ignore, logger: SILENT }, { port: 0, task });
  const place = { networkId: '', namespacePath: '/proc/self/ns/net', addresses: ['127.0.0.1'] };
  await listeners.ensure(place).catch(ignore);
  await listeners.closeAll();
}
