/** What runs out on a host: the kernel's table of neighbours, ports of a network's bridge, the file of etcd; found by name before or when it is full. */
import { beforeAll, expect, test } from 'vitest';
import { MOST_CONTAINERS } from '../../src/core/host-state.ts';
import { STORE_QUOTA_BYTES } from '../../src/core/store-upkeep.ts';
import { connect, disconnect, openControl } from '../bench/control.ts';
import { eachOf } from '../bench/workers.ts';
import { Etcdctl } from '../lab/etcd.ts';
import { foundBy, logged, untilFound, untilTold, untilWell } from '../lab/finding.ts';
import type { Host } from '../lab/host.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const MIB = 2 ** 20;
const lab = useLab({ hosts: 2, cluster: true });
const [one, two] = [1, 2].map((number) => () => lab().host(number)) as [() => Host, () => Host];

const toldOf = (host: Host, code: string) =>
  until(`the log of ${host.name} to tell of ${code}`, () => logged(host, 'something is wrong', code) === 1);
const untilEnded = (host: Host, code: string, limitMs?: number) =>
  until(
    `${code} to have ended on ${host.name}`,
    async () => !(await foundBy(host)).some(({ Code }) => Code === code),
    limitMs,
  );

beforeAll(async () => {
  await one().mustOverlayd('network', 'create', '--subnet', '10.98.0.0/20', 'web');
});

/**
 * The agent reads these counts as the kernel's, whose table of neighbours is the whole machine's: no test may fill that. All else
 * of `/proc/net` is the host's own.
 */
async function showCounts(host: Host): Promise<void> {
  const pid = (await host.must(['pgrep', '-f', 'lib/agent.cjs'])).trim();
  const script = `mkdir -p /run/net/stat
for each in /proc/1/net/*; do [ -e "/run/net/\${each##*/}" ] || ln -s "$each" /run/net; done
mount --bind /run/net "/proc/$0/net"`;
  await setCounts(host, 2);
  await host.must(['sh', '-c', script, pid]);
}

/** In the kernel's form (`neigh_stat_seq_show` in net/core/neighbour.c), a line for each processor. */
async function setCounts(host: Host, tableFulls: number): Promise<void> {
  const last = (value: number) => value.toString(16).padStart(8, '0');
  const text = `entries  allocs   lookups  hits     unresolved_discards table_fulls
00000011 0001ae96 0001fdb2 000021ea 000029b1            ${last(tableFulls)}
00000011 00017537 0001b1be 000019d2 00002760            ${last(1)}
`;
  await host.must(['sh', '-c', 'mkdir -p /run/net/stat && cat > /run/net/stat/arp_cache'], { input: text });
}

test('a table of neighbours that is full is found by its family, in status and once in the log', async () => {
  await showCounts(two());
  // What was before that is of no known time.
  expect((await foundBy(two())).map(({ Code }) => Code)).not.toContain('neighbours-overflowed');
  await setCounts(two(), 17);
  await untilFound(
    two(),
    'neighbours-overflowed',
    /\(IPv4\) was full 15 times.*sysctl -w net\.ipv4\.neigh\.default\.gc_thresh3=/,
  );
  await untilTold(two(), ['neighbours-overflowed']);
  await toldOf(two(), 'neighbours-overflowed');
});

test('a bridge that has nearly no ports left is found by its network before one is refused, and well when some are free', async () => {
  const most = Math.ceil(0.9 * MOST_CONTAINERS);
  const names = Array.from({ length: most }, (_, at) => `c${at + 1}`);
  await two().must(['ip', '-batch', '-'], { input: names.map((name) => `netns add ${name}`).join('\n') });
  const control = openControl(two());
  await eachOf(names.slice(1), 4, (name) => connect(control, 'web', name));
  expect((await foundBy(two())).map(({ Code }) => Code)).not.toContain('network-full');
  await connect(control, 'web', names[0]!);
  await untilFound(two(), 'network-full web', new RegExp(`has ${most} .*can have 1,022 on one .*on other hosts`));
  await untilTold(two(), ['network-full web']);
  expect((await foundBy(one())).map(({ Code }) => Code)).not.toContain('network-full');
  await toldOf(two(), 'network-full');
  await disconnect(control, 'web', names[0]!);
  await untilEnded(two(), 'network-full');
  control.close();
});

test('the file of etcd is found near its quota, by its host, and well when its history is gone', async () => {
  const etcd = Etcdctl.ofBundled(one());
  // What it takes beside the values differs.
  while ((await etcd.fileBytes()) < 0.8 * STORE_QUOTA_BYTES) await etcd.putMany('/something/else', 40, MIB);
  await untilFound(one(), 'store-near-quota h1', /has [89]\d\d MiB of the 1024 MiB .*overlayd events --since 1h/);
  await untilTold(one(), ['store-near-quota h1']);
  await toldOf(one(), 'store-near-quota');
  // As etcd does by itself after an hour; the agent gives the room back.
  const { header } = JSON.parse(await etcd.run('get', '/something/else', '--keys-only', '-w', 'json')) as {
    readonly header: { readonly revision: number };
  };
  await etcd.run('compact', String(header.revision));
  // What is free etcd counts when something is written next.
  await attach(one(), 'later', 'web');
  await untilEnded(one(), 'store-near-quota', 300_000);
  await untilWell(one());
  expect(logged(one(), 'something is wrong', 'store-near-quota')).toBe(1);
});

test('a table of neighbours that has room again is told of no more', async () => {
  await untilEnded(two(), 'neighbours-overflowed', 300_000);
  await untilWell(two());
  await until('its end to be in the log', () => logged(two(), 'it is well again', 'neighbours-overflowed') === 1);
});
