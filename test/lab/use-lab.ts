import { afterAll, afterEach, beforeAll } from 'vitest';
import { buildOf } from './checkouts.ts';
import { formLabCluster } from './cluster.ts';
import { Lab, type LabOptions } from './lab.ts';
import { tellOf } from './telling.ts';

export interface UseLabOptions extends LabOptions {
  /** A cluster over all hosts, with the bundled etcd. */
  readonly cluster?: boolean;
  /** How many hosts keep its etcd. 1: what a test says of etcd is about that of the first host. */
  readonly storeMembers?: 1 | 3 | 5;
  /** A commit whose build the hosts run at first. */
  readonly commit?: string;
  /** More to do before the first test. */
  readonly prepare?: (lab: Lab) => Promise<void>;
}

/** One lab for the tests of a file; when one of them fails its logs are kept, and their ends are printed. Call the result inside tests. */
export function useLab(options: UseLabOptions): () => Lab {
  let lab: Lab | undefined;
  let failed = true;
  beforeAll(async () => {
    const checkout = options.commit === undefined ? {} : { checkout: await buildOf(options.commit) };
    lab = await Lab.open({ agents: true, ...options, ...checkout });
    // Builds of before there were several know no such flag.
    const flags = options.commit === undefined ? ['--store-members', String(options.storeMembers ?? 1)] : [];
    if (options.cluster === true) await formLabCluster(lab, flags);
    await options.prepare?.(lab);
    failed = false;
  });
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    failed = true;
    if (lab !== undefined) console.error(`${task.name}: it failed\n${await tellOf(lab)}`);
  });
  afterAll(async () => {
    await lab?.close({ keepFiles: failed });
  });
  return () => {
    if (lab === undefined) throw new Error('the lab is there inside tests and hooks only');
    return lab;
  };
}
