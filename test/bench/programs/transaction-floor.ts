/**
 * `node transaction-floor.ts IDENTITY ROUNDS`, on a host that has the cluster's etcd: transactions as large as those by which
 * an endpoint's addresses are claimed and given back, of keys that nobody watches. Prints the median milliseconds of one.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { openMemberStore } from '../member-store.ts';
import { median } from '../statistics.ts';

const [identityPath, rounds] = process.argv.slice(2) as [string, string];
const REST_MS = 50;
const KEYS = ['/bench/endpoint', '/bench/address', '/bench/quarantine'] as const;
const VALUE = 'x'.repeat(400);

const store = openMemberStore(identityPath);
const taken: number[] = [];
for (let round = 0; round <= Number(rounds); round++) {
  const [endpoint, address, rest] = KEYS.map((key) => ({ key, value: VALUE }));
  const begun = performance.now();
  await store.txn(
    [{ kind: 'absent', key: rest!.key }],
    [
      { kind: 'put', ...endpoint! },
      { kind: 'put', ...address! },
    ],
  );
  taken.push(performance.now() - begun);
  await pause(REST_MS);
}
await store.txn(
  [],
  KEYS.map((key) => ({ kind: 'delete', key })),
);
process.stdout.write(JSON.stringify(median(taken.slice(1))));
process.exit();
