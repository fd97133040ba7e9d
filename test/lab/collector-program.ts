/** A collector as a process of its own, for a host of the lab: prints its URL, then each span as a line of JSON. */
import { setInterval } from 'node:timers';
import { Collector } from './collector.ts';

const collector = new Collector();
process.stdout.write(`${await collector.start()}\n`);
let told = 0;
setInterval(() => {
  for (const span of collector.spans.slice(told)) process.stdout.write(`${JSON.stringify(span)}\n`);
  told = collector.spans.length;
}, 20);
