/** Entry of the thread that keeps a lease. It has nothing else to do, so nothing else can make it late. */
import { parentPort, workerData } from 'node:worker_threads';
import { holdLeasedKey, type LeasedKey } from './lease-keeper.ts';
import type { EtcdTarget } from './target.ts';

export interface LeaseWorkerInput {
  readonly target: EtcdTarget;
  readonly leased: LeasedKey;
}

const { target, leased } = workerData as LeaseWorkerInput;
void holdLeasedKey(target, leased, (report) => parentPort?.postMessage(report));
