import type { Experiment } from './row.ts';
import { agent } from './rows/agent.ts';
import { costs } from './rows/costs.ts';
import { dns } from './rows/dns.ts';
import { docker } from './rows/docker.ts';
import { names } from './rows/names.ts';
import { network } from './rows/network.ts';
import { restarts } from './rows/restart.ts';
import { scale } from './rows/scale.ts';

/** In the order of the table. Each file of `rows/` gives a list. */
export const experiments: readonly Experiment[] = [
  ...network,
  ...docker,
  ...agent,
  ...names,
  ...restarts,
  ...dns,
  ...costs,
  ...scale,
];
