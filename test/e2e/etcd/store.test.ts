import { EtcdClient } from '../../../src/adapters/etcd/client.ts';
import { encodeGet } from '../../../src/adapters/etcd/request.ts';
import type { EtcdStore } from '../../../src/adapters/etcd/store.ts';
import { KVService, LeaseService } from '../../../src/gen/etcd/rpc.ts';
import { describeStore, type StoreHarness } from '../../contract/store.ts';
import { createFastClock } from '../../contract/store-clock.ts';
import { EtcdProcess } from './etcd-process.ts';
import { openStore } from './open-store.ts';
import { TcpLink } from './tcp-link.ts';

async function createHarness(): Promise<StoreHarness> {
  const etcd = await EtcdProcess.create();
  const links = await Promise.all(Array.from({ length: 8 }, () => TcpLink.create(etcd.port)));
  const clock = createFastClock(2);
  const stores: EtcdStore[] = [];
  const admin = new EtcdClient({}, etcd.url);
  return {
    open() {
      const link = links[stores.length]!;
      const store = openStore([link.url], clock);
      stores.push(store);
      return { store, cut: () => link.cut(), heal: () => link.heal() };
    },
    async compact(revision) {
      await admin.call(KVService.compact, { revision, physical: true });
    },
    async revokeLeaseOf(key) {
      const { kvs } = await admin.call(KVService.range, encodeGet(key));
      await admin.call(LeaseService.leaseRevoke, { ID: kvs[0]!.lease });
    },
    kill: () => etcd.kill(),
    start: () => etcd.start(),
    freeze: () => etcd.freeze(),
    thaw: () => etcd.thaw(),
    settle: (promise) => promise,
    async close() {
      for (const store of stores) store.close();
      for (const link of links) link.close();
      admin.close();
      await etcd.close();
    },
  };
}

describeStore('a real etcd', createHarness);
