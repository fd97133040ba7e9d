import type { Experiment } from './row.ts';
import { agent } from './rows/agent.ts';
import { cni } from './rows/cni.ts';
import { costs } from './rows/costs.ts';
import { dns } from './rows/dns.ts';
import { docker } from './rows/docker.ts';
import { drifts } from './rows/drift.ts';
import { encrypted } from './rows/encrypted.ts';
import { floors } from './rows/floors.ts';
import { fullHosts } from './rows/full-host.ts';
import { interest } from './rows/interest.ts';
import { ipv6 } from './rows/ipv6.ts';
import { manyNetworks } from './rows/many-networks.ts';
import { metrics } from './rows/metrics.ts';
import { names } from './rows/names.ts';
import { namesStaying } from './rows/names-stay.ts';
import { network } from './rows/network.ts';
import { pages } from './rows/page.ts';
import { restarts } from './rows/restart.ts';
import { scale } from './rows/scale.ts';

/** In the order of the table. Each file of `rows/` gives a list. */
export const experiments: readonly Experiment[] = [
  ...network,
  ...docker,
  ...agent,
  ...cni,
  ...names,
  ...restarts,
  ...dns,
  ...costs,
  ...ipv6,
  ...encrypted,
  ...scale,
  ...interest,
  ...namesStaying,
  ...pages,
  ...drifts,
  ...manyNetworks,
  ...fullHosts,
  ...metrics,
  ...floors,
];

/** Names for several experiments. */
export const groups: Readonly<Record<string, readonly string[]>> = {
  /** How the agent gets things done on its host: what a change of its ways with the kernel or with names is judged by. */
  kernel: [
    'attach',
    'attach-64',
    'docker-run',
    'names-stay',
    'busy-host',
    'kernel-rows',
    'agent-footprint',
    'drift',
    'many-networks',
    'full-host',
  ],
  ipv6: ['tcp-ipv6-inside', 'tcp-ipv6-underlay', 'attach-dual-stack'],
  encrypted: ['tcp-encrypted', 'attach-encrypted'],
};
