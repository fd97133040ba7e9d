/** Measures what it is told to, one after the other, in a thread of its own. */
import assert from 'node:assert/strict';
import { parentPort } from 'node:worker_threads';
import { type ExperimentOptions, measure } from './experiment.ts';

const port = parentPort;
assert(port, 'runs as a worker');
port.on('message', (options: ExperimentOptions) => {
  void measure(options).then((measurements) => port.postMessage(measurements));
});
