/** Runs the bundled etcd of the host that it is in, by orders: see `store-server.ts`. */
import { createInterface } from 'node:readline';
import { createBundledEtcd } from '../../src/adapters/etcd/server.ts';
import type { EtcdServerSettings } from '../../src/ports/store.ts';
import { realClock } from '../contract/store-clock.ts';
import { silentLogger } from '../e2e/etcd/open-store.ts';

export type StoreServerOrder =
  | { readonly do: 'ensure'; readonly settings: EtcdServerSettings }
  | { readonly do: 'check' | 'setAside' | 'stop' };

/** `removed`: how often it was told that the others removed this member. */
export interface StoreServerAnswer {
  readonly code?: string;
  readonly message?: string;
  readonly endpoints?: readonly string[];
  readonly removed: number;
}

const run = async () => ({ code: 0, stderr: '' });
const server = createBundledEtcd({ run, clock: realClock, logger: silentLogger }, { dataDir: process.argv[2]! });
let removed = 0;
const onRemoved = () => {
  removed++;
};

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as StoreServerOrder;
  const result = await obey(order).catch(({ code, message }: { code: string; message: string }) => ({ code, message }));
  console.log(JSON.stringify({ ...result, removed }));
}
server.release();

async function obey(order: StoreServerOrder) {
  if (order.do === 'ensure') return server.ensure({ ...order.settings, onRemoved });
  return server[order.do]();
}
