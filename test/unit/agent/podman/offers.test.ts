import { beforeEach, expect, it } from 'vitest';
import { PodmanOffers } from '../../../../src/agent/podman/offers.ts';
import { OverlaydError } from '../../../../src/core/errors.ts';
import { boundNetwork, offeredNetwork, type PodmanNetwork } from '../../../../src/core/podman/network-file.ts';
import type { NetworkRecord } from '../../../../src/core/records.ts';
import type { PodmanNetworkFiles } from '../../../../src/ports/podman.ts';
import { networkRecord } from '../../../fixtures/records.ts';

const web = networkRecord({ name: 'web' });
const created = boundNetwork({ name: 'web', id: 'f'.repeat(64), driver: 'overlayd' }, web, 'created');

/** Podman's folder in memory. */
let folder: Map<string, PodmanNetwork>;
/** Names of those that are there and cannot be read. */
let broken: Set<string>;
let inode: number;
let changes: number;
let networks: NetworkRecord[];
let removed: string[];
let isUsed: boolean;
let now: number;
let offers: PodmanOffers;

const files: PodmanNetworkFiles = {
  stamp: async () => `${inode} ${changes}`,
  list: async () => [...folder.values()].filter(({ name }) => !broken.has(name)),
  has: async (name) => folder.has(name),
  add: async (network) => {
    if (folder.has(network.name)) return false;
    put(network);
    return true;
  },
  change: async (network) => put(network),
  remove: async ({ name }) => take(name),
};

function put(network: PodmanNetwork): void {
  folder.set(network.name, network);
  changes++;
}

function take(name: string): void {
  folder.delete(name);
  changes++;
}

const compare = () => offers.compare(new AbortController().signal);

beforeEach(() => {
  broken = new Set();
  [folder, inode, changes, networks, removed, isUsed, now] = [new Map(), 1, 0, [web], [], false, 0];
  const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };
  offers = new PodmanOffers({
    files,
    member: () => ({
      networks: {
        list: () => networks,
        remove: async (id) => {
          removed.push(id);
          if (isUsed) throw new OverlaydError('network-in-use', 'network web has active endpoints');
          networks = [];
          return { network: web, waitingFor: [] };
        },
      },
      view: { provesAbsence: true },
    }),
    clock: { elapsed: () => now, now: () => now, sleep: async () => {} },
    logger: quiet,
  });
});

it('offers, and offers again what went', async () => {
  await compare();
  expect([...folder.values()]).toEqual([offeredNetwork(web)]);
  take('web');
  await compare();
  expect([...folder.values()]).toEqual([offeredNetwork(web)]);
  expect(removed).toEqual([]);
});

it('removes from the cluster what Podman had made here and removed', async () => {
  put(created);
  await compare();
  take('web');
  await compare();
  expect(removed).toEqual([web.id]);
  await compare();
  expect(folder.size).toBe(0);
});

it('offers it again when the cluster keeps it', async () => {
  isUsed = true;
  put(created);
  await compare();
  take('web');
  await compare();
  await compare();
  expect([removed, [...folder.values()]]).toEqual([[web.id], [offeredNetwork(web)]]);
});

it('takes the loss of the whole folder for no word on any network', async () => {
  put(created);
  await compare();
  take('web');
  inode++;
  await compare();
  expect([removed, [...folder.values()]]).toEqual([[], [offeredNetwork(web)]]);
});

it('takes a file that cannot be read for no word on its network, until it goes', async () => {
  put(created);
  await compare();
  broken.add('web');
  put(boundNetwork({ name: 'other', id: 'e'.repeat(64), driver: 'overlayd' }, web, 'bound'));
  await compare();
  await compare();
  expect(removed).toEqual([]);
  broken.clear();
  await compare();
  take('web');
  await compare();
  expect(removed).toEqual([web.id]);
});

it('leaves the name to Podman while it makes the network, and until it has written it', async () => {
  await offers.whileCreating('web', async () => {
    await compare();
    expect(folder.size).toBe(0);
  });
  now = 5_000;
  await compare();
  expect(folder.size).toBe(0);
  now = 15_000;
  await compare();
  expect([...folder.values()]).toEqual([offeredNetwork(web)]);
});

it('offers at once what could not be made', async () => {
  const failing = offers.whileCreating('web', async () => {
    throw new OverlaydError('store-unavailable', 'etcd does not answer');
  });
  await expect(failing).rejects.toThrow('etcd does not answer');
  await compare();
  expect(folder.size).toBe(1);
});
