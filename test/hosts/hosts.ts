/** `node test/hosts/hosts.ts ROOT`: the package from `apt install` to `apt purge`, on two hosts booted over that root. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nextVersionOf } from '../lab/checkouts.ts';
import { ROOT } from '../lab/host.ts';
import { expectSuccess, run, start } from '../lab/process.ts';
import { Switch } from '../lab/switch.ts';
import { until } from '../lab/until.ts';
import { BootedHost } from './booted-host.ts';

const [root] = process.argv.slice(2);
if (root === undefined) {
  console.error('usage: node test/hosts/hosts.ts ROOT');
  process.exit(2);
}
const directory = mkdtempSync(path.join(tmpdir(), 'overlayd-hosts-'));
const wire = await Switch.powerOn(directory);
const [one, two] = ([1, 2] as const).map(
  (number) =>
    new BootedHost({
      ...{ name: `b${number}`, address: `192.0.2.${number}`, directory: path.join(directory, `b${number}`), root },
      plug: wire,
    }),
) as [BootedHost, BootedHost];
const hosts = [one, two];
let failed = true;
try {
  await story();
  failed = false;
} finally {
  if (failed) for (const host of hosts) await tell(host);
  for (const host of hosts) await host.cutPower();
  await wire.powerOff();
  if (failed) console.error(`the hosts' files: ${directory}`);
  else rmSync(directory, { recursive: true, force: true });
}
console.log(`ok: ${path.basename(root)}`);
process.exit(0);

async function story(): Promise<void> {
  let packages = { now: '', next: '' };
  await step('the package, and the next version of it', async () => {
    packages = await buildPackages();
  });

  await step('apt install: the agent runs, and no etcd but ours', async () => {
    await Promise.all(hosts.map((host) => host.boot()));
    for (const host of hosts) {
      await install(host, packages.now);
      assert.equal(await host.sh('systemctl is-active overlayd'), 'active');
      assert.equal(await host.sh('systemctl is-enabled overlayd'), 'enabled');
      assert.match(await host.sh('systemctl is-active etcd || true'), /inactive/);
      assert.match(await host.sh('command -v etcd'), /etcd/);
      assert.equal(await host.sh('stat -c "%G %a" /run/overlayd/overlayd.sock'), 'overlayd 660');
      assert.equal(await host.sh('stat -c %a /var/lib/overlayd'), '700');
    }
    await one.must(['useradd', '--groups', 'overlayd', 'alice']);
    assert.match(await one.sh('su alice -c "overlayd status"'), /waiting/);
  });

  await step('init, join, and containers that reach each other by name', async () => {
    const text = await one.sh(`overlayd init --advertise-addr ${one.address}`);
    const line = /overlayd (join .*)$/m.exec(text)![1]!;
    await two.must(['overlayd', ...line.split(' ')]);
    await one.sh('overlayd network create web');
    await attach(one, 'c1', 'api');
    await attach(two, 'c2', 'shop');
    await until('c2 to reach api', () => reaches(two, 'c2', 'api'));
  });

  await step('an upgrade of both loses neither a packet nor a name', async () => {
    const before = await Promise.all(hosts.map((host) => mainPid(host)));
    const pinging = ping(two, 'c2', 'api');
    const asking = ask(two, 'c2', 'api');
    for (const [index, host] of hosts.entries()) {
      await install(host, packages.next);
      assert.notEqual(await mainPid(host), before[index]);
      assert.match(await host.sh('overlayd --version'), /-next/);
      await until('the host to be ready', async () => (await host.sh('overlayd status')).includes('ready'));
      assert.match(await host.sh('overlayd status'), /-next/);
    }
    assert.deepEqual(await pinging(), []);
    assert.deepEqual(await asking(), []);
    for (const host of hosts) assert.equal(await leftOver(host), '');
  });

  await step('an agent that hangs is restarted by the watchdog, and no packet is lost', async () => {
    const before = await mainPid(two);
    const pinging = ping(two, 'c2', 'api');
    await two.must(['kill', '-STOP', before]);
    await until('another agent', async () => {
      const now = await mainPid(two);
      return now !== '0' && now !== before && (await two.sh('systemctl is-active overlayd || true')) === 'active';
    });
    assert.deepEqual(await pinging(), []);
    await until('the command to answer', async () => (await two.run(['overlayd', 'network', 'ls'])).code === 0);
  });

  await step('a reboot: the host is a member again, its etcd was ended in order', async () => {
    await two.shutDown();
    await two.boot();
    await until('the host to be ready', async () => /State: +ready/.test(await two.sh('overlayd status || true')));
    await attach(two, 'c3', 'again');
    await until('c3 to reach api', () => reaches(two, 'c3', 'api'));
  });

  await step('a power loss of both: the cluster and its network are there', async () => {
    await Promise.all(hosts.map((host) => host.cutPower()));
    await Promise.all(hosts.map((host) => host.boot()));
    for (const host of hosts) {
      await until('the network to be there', async () => /web/.test(await host.sh('overlayd network ls || true')));
    }
    await until('a connection', async () => (await attachIf(one, 'c4', 'late')) === 0);
    await attach(two, 'c5', 'client');
    await until('c5 to reach late', () => reaches(two, 'c5', 'late'));
  });

  await step('apt remove takes it out of the kernel; installed again, the host is the member that it was', async () => {
    await two.must(['apt-get', 'remove', '-y', '-qq', 'overlayd']);
    await assertBare(two);
    assert.equal(await two.sh('test -s /var/lib/overlayd/identity.json && echo kept'), 'kept');
    await install(two, packages.next);
    await until('the host to be ready', async () => /State: +ready/.test(await two.sh('overlayd status || true')));
  });

  await step('apt purge leaves nothing on the disk', async () => {
    for (const host of [two, one]) {
      await host.must(['apt-get', 'purge', '-y', '-qq', 'overlayd']);
      await assertBare(host);
      const left = await host.sh(
        'find / -xdev -name "*overlayd*" -not -path "/proc/*" -not -path "/packages*" -not -path "/var/lib/apt/*" -not -path "/var/log/*" -not -path "/etc/overlayd-host" -not -path "/etc/apt/*" -not -path "/tmp/*" || true',
      );
      assert.equal(left, '');
      assert.equal(await host.sh('getent group overlayd || true'), '');
    }
  });
}

async function step(name: string, run: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  try {
    await run();
  } catch (error) {
    console.error(`FAILED  ${name}`);
    throw error;
  }
  console.log(`ok      ${name} (${((performance.now() - begun) / 1_000).toFixed(0)} s)`);
}

/** As paths below /packages of every host. */
async function buildPackages(): Promise<{ now: string; next: string }> {
  const build = async (checkout: string, name: string) => {
    const out = path.join(directory, name);
    const script = path.join(checkout, 'deploy/package.ts');
    expectSuccess(await run([process.execPath, script, '--fast', '--out', out], { timeoutMs: 600_000 }));
    const file = readdirSync(out).find((each) => each.endsWith('.deb'))!;
    for (const host of hosts) {
      const place = path.join(host.directory, 'up/packages');
      mkdirSync(place, { recursive: true });
      copyFileSync(path.join(out, file), path.join(place, file));
    }
    return `/packages/${file}`;
  };
  const now = await build(ROOT, 'now');
  const checkout = await nextVersionOf(ROOT);
  try {
    for (const name of ['CHANGELOG.md', 'LICENSE'])
      copyFileSync(path.join(ROOT, name), path.join(checkout.directory, name));
    return { now, next: await build(checkout.directory, 'next') };
  } finally {
    checkout.remove();
  }
}

async function install(host: BootedHost, file: string): Promise<void> {
  await host.must(['apt-get', 'install', '-y', '-qq', file], { timeoutMs: 300_000 });
}

async function attach(host: BootedHost, container: string, name: string): Promise<void> {
  assert.equal(await attachIf(host, container, name), 0);
}

async function attachIf(host: BootedHost, container: string, name: string): Promise<number> {
  await host.run(['ip', 'netns', 'add', container]);
  return (await host.run(['overlayd', 'network', 'connect', '--name', name, 'web', `netns:${container}`])).code;
}

async function reaches(host: BootedHost, container: string, name: string): Promise<boolean> {
  return (await host.run(['ip', 'netns', 'exec', container, 'ping', '-c', '1', '-W', '2', name])).code === 0;
}

/** Until it is asked: what was lost. */
function ping(host: BootedHost, container: string, name: string): () => Promise<readonly string[]> {
  const argv = ['ip', 'netns', 'exec', container, 'ping', '-O', '-i', '0.05', name];
  const child = start(host.enter(argv), { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.stdout!.setEncoding('utf8').on('data', (data: string) => {
    text += data;
  });
  return async () => {
    child.kill('SIGTERM');
    assert.match(text, /bytes from/);
    return text.split('\n').filter((line) => /no answer yet|unreachable/i.test(line));
  };
}

/** Until it is asked: questions that were not answered. */
function ask(host: BootedHost, container: string, name: string): () => Promise<readonly string[]> {
  let going = true;
  const lost: string[] = [];
  let asked = 0;
  const work = (async () => {
    while (going) {
      const argv = ['ip', 'netns', 'exec', container, 'dig', '+short', '+tries=1', '+time=5', '+search', name];
      const { code, stdout } = await host.run(argv);
      asked++;
      if (code !== 0 || !/^\d/.test(stdout)) lost.push(`${code}: ${stdout}`);
    }
  })();
  return async () => {
    going = false;
    await work;
    assert.ok(asked > 5);
    return lost;
  };
}

function mainPid(host: BootedHost): Promise<string> {
  return host.sh('systemctl show --property=MainPID --value overlayd');
}

/** What systemd says of processes that it did not expect. */
function leftOver(host: BootedHost): Promise<string> {
  return host.sh('journalctl --no-pager --unit overlayd | grep -i "left-over" || true');
}

async function assertBare(host: BootedHost): Promise<void> {
  assert.equal(await host.sh('ip netns list | grep ovl || true'), '');
  assert.equal(await host.sh('ip -o link show | grep -E ": (ovl|vx)" || true'), '');
  assert.equal(await host.sh('nft list tables | grep overlayd || true'), '');
  assert.equal(await host.sh('ip route show table all proto 79'), '');
  assert.equal(
    await host.sh('ps -eo args | grep -E "[/]usr/lib/overlayd|[/]var/lib/overlayd|[w]ireguard-go" || true'),
    '',
  );
  assert.equal(await host.sh('systemctl list-units --all --no-legend --state=active,failed "overlayd*" || true'), '');
}

async function tell(host: BootedHost): Promise<void> {
  const said = await host.run(['journalctl', '--no-pager', '-n', '60']).catch(() => undefined);
  console.error(`--- ${host.name}\n${said?.stdout ?? host.console.slice(-4_000)}`);
}
