import type { Host } from '../lab/host.ts';

/** Ports, by what is counted. */
export type Ports = Readonly<Record<string, number>>;
export type Bytes = Readonly<Record<string, number>>;

const TABLE = 'benchmark';
/** Before all others. */
const PRIORITY = -310;

/** Counts what the host sends and receives from now on, with headers of IP and above; TCP and UDP, either end's port. */
export async function countTraffic(host: Host, ports: Ports): Promise<void> {
  const counters = Object.keys(ports).map((name) => `counter ${name} {}`);
  // A packet from and to the same port counts once.
  const rules = Object.entries(ports).flatMap(([name, port]) =>
    ['dport', 'sport'].map((end) => `meta l4proto { tcp, udp } th ${end} ${port} counter name ${name} accept`),
  );
  const chain = (hook: string) => [`chain ${hook} {`, `type filter hook ${hook} priority ${PRIORITY};`, ...rules, '}'];
  const table = [`table inet ${TABLE} {`, ...counters, ...chain('input'), ...chain('output'), '}'];
  await host.must(['nft', '-f', '-'], { input: table.join('\n') });
}

export async function trafficOf(host: Host): Promise<Bytes> {
  const { nftables } = JSON.parse(await host.must(['nft', '-j', 'list', 'counters', 'table', 'inet', TABLE]));
  const counters = (nftables as { counter?: { name: string; bytes: number } }[]).flatMap(
    ({ counter }) => counter ?? [],
  );
  return Object.fromEntries(counters.map(({ name, bytes }) => [name, bytes]));
}

export async function stopCounting(host: Host): Promise<void> {
  await host.must(['nft', 'delete', 'table', 'inet', TABLE]);
}

export function difference(before: Bytes, after: Bytes): Bytes {
  return Object.fromEntries(Object.entries(after).map(([name, bytes]) => [name, bytes - before[name]!]));
}
