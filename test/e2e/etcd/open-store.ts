import { createEtcdStore, type EtcdStore } from '../../../src/adapters/etcd/store.ts';
import type { EtcdTls } from '../../../src/adapters/etcd/target.ts';
import type { Clock, Logger } from '../../../src/ports/runtime.ts';
import { realClock } from '../../contract/store-clock.ts';

const nothing = () => undefined;

export const silentLogger: Logger = {
  error: nothing,
  warn: nothing,
  info: nothing,
  debug: nothing,
  child: () => silentLogger,
};

export function openStore(endpoints: readonly string[], clock: Clock = realClock, tls?: EtcdTls): EtcdStore {
  return createEtcdStore({ logger: silentLogger, clock }, { endpoints, ...(tls && { tls }) });
}
