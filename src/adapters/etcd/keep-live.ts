import { Worker } from 'node:worker_threads';
import type { Clock, Logger } from '../../ports.ts';
import type { LeasedKey, LeaseReport } from './lease-keeper.ts';
import type { LeaseWorkerInput } from './lease-worker.ts';
import type { EtcdTarget } from './target.ts';

const RESTART_AFTER_MS = 1_000;

export interface KeepLiveDeps {
  readonly target: EtcdTarget;
  readonly clock: Clock;
  readonly logger: Logger;
  /** File of the thread's entry. */
  readonly workerPath: string;
}

/** Runs the lease's thread until the signal aborts; starts it again should it die. */
export async function keepLive(deps: KeepLiveDeps, leased: LeasedKey, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const reason = await runWorker(deps, leased, signal);
    if (signal.aborted) return;
    deps.logger.error({ key: leased.key, reason }, 'the lease thread died, starting it again');
    await deps.clock.sleep(RESTART_AFTER_MS, signal).catch(() => undefined);
  }
}

/** Resolves with the reason when the thread ends. */
function runWorker(deps: KeepLiveDeps, leased: LeasedKey, signal: AbortSignal): Promise<string> {
  const workerData: LeaseWorkerInput = { target: deps.target, leased };
  const worker = new Worker(deps.workerPath, { name: 'lease', workerData });
  const stop = () => void worker.terminate();
  signal.addEventListener('abort', stop, { once: true });
  worker.on('message', (report: LeaseReport) => logReport(deps.logger, leased, report));
  return new Promise<string>((resolve) => {
    let reason = 'exited';
    worker.once('error', (error) => {
      reason = String(error);
    });
    worker.once('exit', () => {
      signal.removeEventListener('abort', stop);
      resolve(reason);
    });
  });
}

function logReport(logger: Logger, { key }: LeasedKey, report: LeaseReport): void {
  if (report.kind === 'held') {
    logger.info({ key, lease: report.lease }, 'leased key published');
  } else if (report.kind === 'lost') {
    logger.warn({ key, lease: report.lease }, 'lease lost, publishing under a new one');
  } else {
    logger.warn({ key, reason: report.reason }, 'lease keep-alive failing, retrying');
  }
}
