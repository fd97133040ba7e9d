/** What runs out on a host: the kernel's table of neighbours, ports of a network's bridge, the file of etcd; found by name before or when it is full. */
import { existsSync, readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { MOST_CONTAINERS } from '../../src/core/host-state.ts';
import { STORE_QUOTA_BYTES } from '../../src/core/store-upkeep.ts';
import { connect, disconnect, openControl } from '../bench/control.ts';
import { eachOf } from '../bench/workers.ts';
import { Etcdctl } from '../lab/etcd.ts';
import { foundBy, logged, untilFound, untilTold, untilWell } from '../lab/finding.ts';
import type { Host } from '../lab/host.ts';
import { attach } from '../lab/network.ts';
import { expectSuccess, run } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const MIB = 2 ** 20;
/** The kernel counts in the namespace that it started with alone, which the machine's first process is in. */
const COUNTS = '/proc/1/net/stat/arp_cache';
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
 * The agent sees what the kernel of this machine counts, as it does where it runs in the kernel's first namespace: all else of
 * `/proc/net` is the host's own.
 */
async function showCounts(host: Host): Promise<void> {
  const ofMachine = ['nsenter', `--target=${host.pid}`, '--mount', 'sh', '-c'];
  expectSuccess(await run([...ofMachine, 'mkdir /run/machine && mount -t proc proc /run/machine']));
  const pid = (await host.must(['pgrep', '-f', 'lib/agent.cjs'])).trim();
  const script = `mkdir -p /run/net/stat
ln -s /run/machine/1/net/stat/arp_cache /run/machine/1/net/stat/ndisc_cache /run/net/stat
for each in /proc/1/net/*; do [ -e "/run/net/\${each##*/}" ] || ln -s "$each" /run/net; done
mount --bind /run/net "/proc/$0/net"`;
  await host.must(['sh', '-c', script, pid]);
}

/**
 * One neighbour too many: the table is all namespaces' together, so that it is full for milliseconds alone, until the link goes that
 * they are on. Permanent ones, as the networks have, take no place in it.
 */
async function overflow(host: Host): Promise<void> {
  const most = Number(readFileSync('/proc/sys/net/ipv4/neigh/default/gc_thresh3', 'utf8'));
  // Others give way to it, where there are.
  const neighbours = Array.from({ length: 4 * most }, (_, at) => {
    const address = `10.${97 - Math.floor(at / 65_536)}.${Math.floor(at / 256) % 256}.${at % 256}`;
    return `neigh add ${address} lladdr 02:00:00:00:00:01 dev many nud reachable`;
  });
  const batch = ['link add many type bridge', 'link set many up', ...neighbours].join('\n');
  const argv = ['nice', '-n', '-20', 'sh', '-c', 'ip -batch -; ip link del many'];
  expect((await host.run(argv, { input: batch })).stderr).toContain('No buffer space available');
}

const hasCounts = existsSync(COUNTS);
test.skipIf(!hasCounts)(
  'a table of neighbours that is full is found by its family, in status and once in the log',
  async () => {
    await showCounts(two());
    // What was before that is of no known time.
    expect((await foundBy(two())).map(({ Code }) => Code)).not.toContain('neighbours-overflowed');
    await overflow(two());
    await untilFound(
      two(),
      'neighbours-overflowed',
      /\(IPv4\) was full .*sysctl -w net\.ipv4\.neigh\.default\.gc_thresh3=/,
    );
    await untilTold(two(), ['neighbours-overflowed']);
    await toldOf(two(), 'neighbours-overflowed');
  },
);

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

test.skipIf(!hasCounts)('a table of neighbours that has room again is told of no more', async () => {
  await untilEnded(two(), 'neighbours-overflowed', 300_000);
  await untilWell(two());
  await until('its end to be in the log', () => logged(two(), 'it is well again', 'neighbours-overflowed') === 1);
});
