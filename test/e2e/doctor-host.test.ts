/** What is wrong with a host itself, and with the store, made and found by name: in `doctor`, in `status`, and once in the log. */
import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { createPki } from '../../src/adapters/pki/pki.ts';
import type { Identity } from '../../src/agent/cluster/identity.ts';
import { Etcdctl, etcdPid } from '../lab/etcd.ts';
import { foundBy, logged, untilFound, untilTold, untilWell } from '../lab/finding.ts';
import { type Host, ROOT } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { expectSuccess, run } from '../lab/process.ts';
import { squatOn } from '../lab/squatter.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';
import { WallClock } from '../lab/wall-clock.ts';

const DAY_MS = 86_400_000;
const lab = useLab({ hosts: 2, cluster: true });
const [one, two] = [1, 2].map((number) => () => lab().host(number)) as [() => Host, () => Host];
let clock: WallClock;

/** Puts the data directory on a disk of its own, of 80 MiB; and back. */
const SMALL_DISK = 'cp -a "$0" /run/keep && mount -t tmpfs -o size=80m,mode=700 tmpfs "$0" && cp -a /run/keep/. "$0"';
const LARGE_DISK = 'rm -rf /run/keep && cp -a "$0" /run/keep && umount "$0" && cp -a /run/keep/. "$0"';
const moveData = async (script: string) => {
  await two().agent.stop();
  await two().must(['sh', '-c', script, two().dataDirectory]);
  await two().agent.start();
};
const inHost = (host: Host, ...argv: readonly string[]) =>
  run(['nsenter', `--target=${host.pid}`, '--net', ...argv]).then(expectSuccess);

beforeAll(async () => {
  await one().mustOverlayd('network', 'create', 'web');
  await one().mustOverlayd('network', 'create', '--subnet', '10.99.0.0/29', 'small');
  await attach(one(), 'c1', 'web', '--name', 'api');
  await attach(two(), 'c2', 'web');
  await untilReaches(two(), 'c2', 'api');
  clock = new WallClock(two());
  await moveData(SMALL_DISK);
  await untilWell(two());
});

test('what is wrong with a host is in its status by itself, with what to do, and in its log once', async () => {
  const certain = ['disk-full', 'forwarding-off', 'pool-full small', 'join-blocked h1'];
  for (const nth of [1, 2, 3, 4, 5]) await attach(two(), `small${nth}`, 'small');
  await two().agent.stop();
  await two().must(['ip', 'netns', 'add', 'ovl-9999']);
  await two().must(['ip', '-n', 'ovl-9999', 'link', 'add', 'theirs', 'type', 'bridge']);
  // As a hardened host has it: what a write would mend it refuses.
  await two().must(['sh', '-c', 'mount --rbind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys']);
  await inHost(two(), 'sysctl', '-qw', 'net.ipv4.ip_forward=0');
  const closed = `chain own { type filter hook input priority 10; ip saddr ${two().address} tcp dport 2377 drop\n}\n`;
  await one().must(['nft', '-f', '-'], { input: `table inet other {\n${closed}}\n` });
  await two().run(['sh', '-c', 'cat /dev/zero > "$0/fill"', two().dataDirectory]);
  await two().agent.start();
  await untilTold(two(), certain);

  const found = await foundBy(two());
  const words = new Map(found.map(({ Code, Message }) => [Code, Message]));
  expect(words.get('disk-full')).toMatch(/has 0 MiB of 80 MiB left/);
  expect(words.get('forwarding-off')).toMatch(/containers of .*small.*read-only/);
  expect(words.get('pool-full')).toContain('overlayd network subnet add small');
  expect(words.get('join-blocked')).toContain('open 2377/tcp');
  const left = found.find(({ Code }) => Code === 'left-over');
  expect(left).toMatchObject({ Subject: 'ovl-9999', Certain: false });
  expect(left?.Message).toContain('theirs');
  // The log is told after the look that found it.
  for (const code of certain.map((each) => each.split(' ')[0]!))
    await until(`${code} to be logged once`, () => logged(two(), 'something is wrong', code) === 1);

  await one().must(['nft', 'delete', 'table', 'inet', 'other']);
  await two().must(['rm', join(two().dataDirectory, 'fill')]);
  await two().must(['umount', '--lazy', '/proc/sys']);
  await two().must(['ip', 'netns', 'delete', 'ovl-9999']);
  await one().mustOverlayd('network', 'subnet', 'add', 'small', '10.99.1.0/24');
  await untilWell(two());
  expect((await two().json('status')).State).toBe('ready');
  await moveData(LARGE_DISK);
});

test('a program that has taken port 53 of a network is named', async () => {
  const [{ Vni, IPAM }] = (await two().json('network', 'inspect', 'web')) as [
    { Vni: number; IPAM: { Config: { Gateway: string }[] } },
  ];
  const squatter = await squatOn(two(), IPAM.Config[0]!.Gateway, `ovl-${Vni}`);
  await untilFound(two(), 'names-unanswered', /web.*port 53 is held there by perl \(pid \d+\), which has to end/);
  await untilTold(two(), ['names-unanswered']);
  await squatter.kill('SIGKILL');
  await untilWell(two());
});

test('a clock that is off is told by the other host, by how much and in which direction', async () => {
  clock.setOff(3_600_000);
  await untilFound(one(), 'clock-skew h2', /is 3\d{3} s ahead of this host's/);
  await untilTold(one(), ['clock-skew h2']);
  clock.setOff(0);
  await untilWell(one());
});

test('a certificate that nobody renews is told of before its end', async () => {
  const path = two().path(join(two().dataDirectory, 'identity.json'));
  const identity: Identity = JSON.parse(readFileSync(path, 'utf8'));
  const keeper: Identity = JSON.parse(readFileSync(join(one().dataDirectory, 'identity.json'), 'utf8'));
  await two().agent.stop();
  // Its etcd goes on, and no keeper is there to be asked.
  await one().agent.stop();
  const pki = createPki();
  const certificate = await pki.issue(
    { certificate: keeper.caCertificate, key: keeper.caKey! },
    { csr: await pki.createCsr(identity.key), nodeId: identity.nodeId, address: identity.advertiseAddress },
    { now: Date.now() - 70 * DAY_MS, lifetimeMs: 90 * DAY_MS },
  );
  writeFileSync(path, JSON.stringify({ ...identity, certificate }));
  await two().agent.start();
  await untilFound(two(), 'certificate-ending', /in 19 days, .*bring one of the hosts back/);
  await untilTold(two(), ['certificate-ending']);
  await one().agent.start();
  await untilWell(two());
});

test('releases that differ are told of, of a member and of the command', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const copy = join(lab().directory, 'later');
  cpSync(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const lib = join(copy, 'dist/lib');
  for (const name of readdirSync(lib).filter((each) => /\.c(js|ode)$/.test(each))) {
    const path = join(lib, name);
    // Code that was compiled of the other one.
    if (name.endsWith('.code')) rmSync(path);
    else writeFileSync(path, readFileSync(path, 'utf8').replaceAll(`"${version}"`, '"9.9.9"'));
  }
  await two().agent.stop();
  two().checkout = copy;
  await two().agent.start();
  await untilFound(one(), 'version-mismatch h2', /h2 runs overlayd 9\.9\.9, this host /);
  two().checkout = ROOT;
  await untilFound(two(), 'version-mismatch', /this command is overlayd .*, the agent 9\.9\.9/);
  await two().agent.stop();
  await two().agent.start();
  await until('no mismatch', async () => !(await foundBy(one())).some(({ Code }) => Code === 'version-mismatch'));
});

test("a record that is nobody's, an etcd that is slow and one that too few keep", async () => {
  const etcd = Etcdctl.ofBundled(one());
  const [{ Id }] = (await one().json('network', 'inspect', 'web')) as [{ Id: string }];
  const stale = { nodeId: 'e'.repeat(32), endpointId: 'f'.repeat(64) };
  await etcd.run('put', `/overlayd/v2/addresses/${Id}/10.0.0.77`, JSON.stringify(stale));
  await untilFound(one(), 'address-stray', /10\.0\.0\.77.*overlayd ipam repair/s);
  await one().mustOverlayd('ipam', 'repair');
  await until('it to be gone', async () => !(await foundBy(one())).some(({ Code }) => Code === 'address-stray'));

  await one().mustOverlayd('store', 'resize', '3');
  await untilFound(one(), 'store-few-members', /1 of 3 hosts that are wanted keeps the store/);

  const pid = await etcdPid(one());
  const pulses = `while kill -STOP ${pid}; do sleep 0.9; kill -CONT ${pid}; sleep 0.1; done`;
  const slow = one().spawn(['sh', '-c', pulses]);
  await untilFound(one(), 'store-slow', /etcd took .* for one question/);
  await slow.kill('SIGKILL');
  await one().must(['kill', '-CONT', pid]);
  await untilWell(one());
});
