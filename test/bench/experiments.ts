import type { Experiment } from './row.ts';
import { agent } from './rows/agent.ts';
import { docker } from './rows/docker.ts';
import { network } from './rows/network.ts';

/** In the order of the table. Each file of `rows/` gives a list. */
export const experiments: readonly Experiment[] = [...network, ...docker, ...agent];
