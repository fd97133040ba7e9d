import { BENCH_IMAGE } from './image.ts';
import type { Context } from './row.ts';
import { containerAddress, NETWORK, removeContainers } from './shared-lab.ts';

const NETWORKS: Readonly<Record<string, string>> = { ...NETWORK, floor: 'host' };

/** Containers on two hosts, one pair for each side; the floor's are in the hosts' own network namespaces. */
export interface Pairs {
  /** Runs a shell command in the side's container on the first host; `$PEER` is the address of the other one. */
  run(side: string, command: string): Promise<string>;
  close(): Promise<void>;
}

/** `serve` runs in the containers on the second host and is to go on. */
export async function openPairs(context: Context, serve: string): Promise<Pairs> {
  const [one, two] = (await context.sharedLab()).hosts;
  const peers = new Map<string, string>();
  for (const [side, network] of Object.entries(NETWORKS)) {
    const on = ['run', '-d', '--network', network, '--name'];
    await two.engine.mustDocker(...on, `server-${side}`, BENCH_IMAGE, 'sh', '-c', serve);
    await one.engine.mustDocker(...on, `client-${side}`, BENCH_IMAGE);
    peers.set(side, network === 'host' ? two.address : await containerAddress(two, `server-${side}`, network));
  }
  const sides = [...peers.keys()];
  return {
    run: (side, command) =>
      one.engine.mustDocker('exec', '-e', `PEER=${peers.get(side)}`, `client-${side}`, 'sh', '-c', command),
    async close() {
      await removeContainers(one, ...sides.map((side) => `client-${side}`));
      await removeContainers(two, ...sides.map((side) => `server-${side}`));
    },
  };
}
