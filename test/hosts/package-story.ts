/** The package from `apt install` to `apt purge`. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { until } from '../lab/until.ts';
import type { BootedHost } from './booted-host.ts';
import { ask, attach, attachIf, digging, type Fleet, hang, mainPid, ping, reaches, step, untilReady } from './fleet.ts';
import { differences, listing } from './listing.ts';

export async function packageStory(fleet: Fleet): Promise<void> {
  const { one, two, hosts } = fleet;
  const bare = new Map<BootedHost, ReadonlySet<string>>();

  await step('apt install: the agent runs, and no etcd but ours', async () => {
    await fleet.bootAll();
    await one.must(['useradd', 'alice']);
    for (const host of hosts) bare.set(host, await listing(host));
    for (const host of hosts) {
      await fleet.install(host);
      assert.equal(await host.sh('systemctl is-active overlayd'), 'active');
      assert.equal(await host.sh('systemctl is-enabled overlayd'), 'enabled');
      assert.match(await host.sh('systemctl is-active etcd || true'), /inactive/);
      assert.match(await host.sh('command -v etcd'), /etcd/);
      assert.equal(await host.sh('stat -c "%G %a" /run/overlayd/overlayd.sock'), 'overlayd 660');
      assert.equal(await host.sh('stat -c %a /var/lib/overlayd'), '700');
    }
    await one.must(['usermod', '--append', '--groups', 'overlayd', 'alice']);
    assert.match(await one.sh('su alice -c "overlayd status"'), /waiting/);
  });

  await step('init, join, and containers that reach each other by name', async () => {
    await fleet.formCluster();
    await one.sh('overlayd network create web');
    await attach(one, 'c1', 'api');
    await attach(two, 'c2', 'shop');
    await until('c2 to reach api', () => reaches(two, 'c2', 'api'));
    // On a busy host names go before others, and the agent does not.
    assert.equal((await two.sh('ps -C overlayd-names -o ni=')).trim(), '-5');
    assert.equal((await two.sh(`ps -o ni= ${await mainPid(two)}`)).trim(), '0');
    assert.equal(await two.sh('systemctl show -P CPUWeight overlayd-names.scope'), '300');
  });

  await step('an upgrade of both loses neither a packet nor a name', async () => {
    const before = await Promise.all(hosts.map((host) => mainPid(host)));
    const pinging = ping(two, 'c2', 'api');
    const asking = ask(two, digging('c2', 'api'));
    for (const [index, host] of hosts.entries()) {
      await fleet.install(host, 'next');
      assert.notEqual(await mainPid(host), before[index]);
      assert.match(await host.sh('overlayd --version'), /-next/);
      await untilReady(host);
      assert.match(await host.sh('overlayd status'), /-next/);
    }
    assert.deepEqual(await pinging(), []);
    assert.deepEqual(await asking(), []);
    for (const host of hosts) assert.equal(await leftOver(host), '');
  });

  await step('an agent that hangs is restarted by the watchdog, and no packet is lost', async () => {
    const pinging = ping(two, 'c2', 'api');
    await hang(two);
    assert.deepEqual(await pinging(), []);
    await until('the command to answer', async () => (await two.run(['overlayd', 'network', 'ls'])).code === 0);
  });

  await step('a reboot: the host is a member again, its etcd was ended in order', async () => {
    await two.shutDown();
    await two.boot();
    await untilReady(two);
    await attach(two, 'c3', 'again');
    await until('c3 to reach api', () => reaches(two, 'c3', 'api'));
  });

  await step('a power loss of both: the cluster and its network are there', async () => {
    await Promise.all(hosts.map((host) => host.cutPower()));
    await fleet.bootAll();
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
    await fleet.install(two, 'next');
    await untilReady(two);
  });

  await step('apt purge leaves nothing: the host is as it was', async () => {
    for (const host of [two, one]) {
      await host.must(['apt-get', 'purge', '-y', '-qq', 'overlayd']);
      await assertBare(host);
      // What came along with it.
      await host.must(['apt-get', 'autoremove', '--purge', '-y', '-qq']);
      // Newer packages of etcd leave it.
      await host.sh('userdel etcd 2>/dev/null || true');
      assert.deepEqual(differences(bare.get(host)!, await listing(host), AS_IT_IS), []);
    }
  });

  await step('the archive: install, a member, and uninstall leaves nothing', async () => {
    await one.must(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'libnftables1', 'etcd-server']);
    await one.sh('systemctl disable --now etcd');
    const before = await listing(one);
    const name = path.basename(fleet.made.archive).replace(/\.tar\.gz$/, '');
    await one.sh(`tar -xzf ${fleet.inside(fleet.made.archive)} -C /opt && /opt/${name}/install`);
    await one.sh(`overlayd init --advertise-addr ${one.address} && overlayd network create web`);
    await attach(one, 'c6', 'api');
    assert.match(await one.sh('overlayd endpoint ls'), /api/);
    await one.sh('ip netns del c6');
    await one.sh('overlayd uninstall --yes --yes-delete-cluster');
    await assertBare(one);
    assert.deepEqual(differences(before, await listing(one), AS_IT_IS), []);
  });
}

const AS_IT_IS: readonly RegExp[] = [
  // Debian's copies of what was before the last change.
  /^. contents \S+ +\/etc\/(group|shadow|gshadow|passwd)-$/,
  // What systemd has heard of, and forgets.
  /^. running overlayd\S* +not-found inactive dead/,
  // Of this boot: the cable, and what the story made.
  /^. (link eth0@|route local fe80::)/,
  /^. (file|mount) \/run\/netns/,
  // On until the next boot, see docs/operations.md.
  /^. setting net\.ipv4\.ip_forward = /,
];

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
  // systemd hears a moment later that the last process of a scope has ended.
  const units = 'systemctl list-units --all --no-legend --state=active,failed "overlayd*" || true';
  await until('no unit to be left', async () => (await host.sh(units)) === '');
}
