/** Runs of the experiment, several at a time. What comes of each depends on its options alone. */
import { Worker } from 'node:worker_threads';
import type { ExperimentOptions, Measurements } from './experiment.ts';

/** A cluster of 2,000 takes more than a thread's default. */
const resourceLimits = { maxOldGenerationSizeMb: 8_192 };

/** Results in the order of `runs`, whatever the number of `workers`; `onDone` hears of each as it ends. */
export async function measureAll(
  runs: readonly ExperimentOptions[],
  workers: number,
  onDone: (index: number) => void,
): Promise<Measurements[]> {
  const results: Measurements[] = [];
  let next = 0;
  const work = async () => {
    const worker = new Worker(new URL('./seed-worker.ts', import.meta.url), { resourceLimits });
    try {
      for (let index = next++; index < runs.length; index = next++) {
        results[index] = await measureIn(worker, runs[index]!);
        onDone(index);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, runs.length) }, work));
  return results;
}

function measureIn(worker: Worker, options: ExperimentOptions): Promise<Measurements> {
  const { promise, resolve, reject } = Promise.withResolvers<Measurements>();
  const fail = (reason: unknown) => reject(reason instanceof Error ? reason : new Error(`a worker ended: ${reason}`));
  worker.once('message', resolve);
  worker.once('error', fail);
  worker.once('exit', fail);
  worker.postMessage(options);
  return promise.finally(() => {
    worker.off('message', resolve);
    worker.off('error', fail);
    worker.off('exit', fail);
  });
}
