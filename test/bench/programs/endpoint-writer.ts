/**
 * `node endpoint-writer.ts IDENTITY NODE-ID NETWORK…`, on a host that has the cluster's etcd: writes endpoints of another
 * member into etcd as that member would, on each of the networks in turn; a network is `<id> <subnet> <first address>`.
 * Orders on standard input: `put FROM TO` and
 * `delete FROM TO` (the endpoints of these numbers, each answered by "done"), `churn RATE` (so many changes a second,
 * above those numbers, until `churn 0`).
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { encodedEntries } from '../../../src/agent/endpoints/own-holdings.ts';
import { formatIp, type Ip, macOf, requireIp } from '../../../src/core/ip.ts';
import { type EndpointRecord, keys } from '../../../src/core/records.ts';
import type { Write } from '../../../src/ports/store.ts';
import { openMemberStore } from '../member-store.ts';

const [identityPath, nodeId, ...networks] = process.argv.slice(2) as [string, string, ...string[]];
const store = openMemberStore(identityPath);

/** Two writes each; a transaction takes 128. */
const PER_TRANSACTION = 64;
const CHURNED = 16;
let churnFrom = 0;

function recordOf(number: number): EndpointRecord {
  const [networkId, subnet, firstAddress] = networks[number % networks.length]!.split(' ') as [string, string, string];
  const first = requireIp(firstAddress, 'first address');
  const ip: Ip = { family: first.family, value: first.value + BigInt(Math.floor(number / networks.length)) };
  return {
    id: createHash('sha256').update(`${networkId} ${number}`).digest('hex'),
    networkId,
    nodeId,
    addresses: [{ subnet, ip: formatIp(ip) }],
    mac: macOf(ip),
    name: `n${number}`,
    aliases: [],
    createdAt: Date.now(),
  };
}

/** A revision from before `/overlayd/v2/` is measured beside this one: an endpoint was its address. */
const isFormer = (await store.get(keys.cluster)) === undefined;

function entriesOf(number: number): readonly { readonly key: string; readonly value: string }[] {
  const record = recordOf(number);
  if (!isFormer) return encodedEntries(record);
  const { addresses, ...rest } = record;
  const address = addresses[0]!.ip;
  return [
    { key: `/overlayd/v1/endpoints/${record.networkId}/${address}`, value: JSON.stringify({ ...rest, address }) },
  ];
}

function writesOf(verb: string, number: number): Write[] {
  return entriesOf(number).map((entry) =>
    verb === 'put' ? { kind: 'put', ...entry } : { kind: 'delete', key: entry.key },
  );
}

async function write(verb: string, from: number, to: number): Promise<void> {
  for (let start = from; start < to; start += PER_TRANSACTION) {
    const numbers = Array.from({ length: Math.min(PER_TRANSACTION, to - start) }, (_, index) => start + index);
    await store.txn(
      [],
      numbers.flatMap((number) => writesOf(verb, number)),
    );
  }
}

let churning: NodeJS.Timeout | undefined;
let changes = 0;
function churn(rate: number): void {
  clearInterval(churning);
  if (rate === 0) return;
  churning = setInterval(() => {
    // Each of a few endpoints comes, and goes again.
    const number = churnFrom + (changes % CHURNED);
    const verb = Math.floor(changes / CHURNED) % 2 === 0 ? 'put' : 'delete';
    changes += 1;
    void store.txn([], writesOf(verb, number));
  }, 1_000 / rate);
}

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...numbers] = line.split(' ');
  const [first = 0, second = 0] = numbers.map(Number);
  if (verb === 'churn') {
    churn(first);
    if (first === 0 && changes > 0) await write('delete', churnFrom, churnFrom + CHURNED);
  } else {
    await write(verb!, first, second);
    churnFrom = Math.max(churnFrom, second);
  }
  console.log('done');
}
process.exit();
