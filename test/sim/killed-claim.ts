/** An agent that dies around a transaction of its own. */
import type { SimulatedHost } from './simulated-cluster.ts';

export const MOMENTS = ['before the transaction', 'when it is done', 'when its answer is there'] as const;

/** The host's next transaction that writes such a key; what follows it never comes. Resolves when the agent is dead. */
export function killAt(host: SimulatedHost, moment: (typeof MOMENTS)[number], key: string): Promise<void> {
  const { store } = host;
  const { txn } = store;
  const { promise, resolve } = Promise.withResolvers<void>();
  const kill = () => host.crash().then(resolve);
  store.txn = async (compares, writes) => {
    if (!writes.some((write) => write.kind !== 'delete-prefix' && write.key.startsWith(key)))
      return await txn.call(store, compares, writes);
    store.txn = txn;
    if (moment === 'before the transaction') await kill();
    const result = await txn.call(store, compares, writes);
    if (moment === 'when it is done') await kill();
    if (moment === 'when its answer is there') void Promise.resolve().then(kill);
    return result;
  };
  return promise;
}
