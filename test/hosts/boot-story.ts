/** A host added over ssh, whose network is never online, whose address comes late, and whose disk is full. */
import assert from 'node:assert/strict';
import { until } from '../lab/until.ts';
import type { BootedHost } from './booted-host.ts';
import { attach, attachIf, type Fleet, ping, reaches, step, untilReady } from './fleet.ts';

/** network-online.target waits for it for ever. */
const NEVER = `[Unit]
Before=network-online.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/bin/sleep infinity
[Install]
WantedBy=network-online.target
`;
const SSH = '--ssh-option StrictHostKeyChecking=accept-new';

export async function bootStory(fleet: Fleet): Promise<void> {
  const { one, two, hosts } = fleet;

  await step('host add: the package of the first host, put together again, makes the second one a member', async () => {
    await fleet.bootAll();
    await fleet.install(one);
    await one.sh(`overlayd init --advertise-addr ${one.address}`);
    await one.sh('mkdir -p /root/.ssh && ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id_ed25519');
    const refused = await one.run(['overlayd', 'host', 'add', ...SSH.split(' '), `root@${two.address}`]);
    assert.match(refused.stderr, /refuses this user's keys/);
    const key = await one.sh('cat /root/.ssh/id_ed25519.pub');
    await two.sh(`mkdir -p -m 700 /root/.ssh && echo '${key}' >> /root/.ssh/authorized_keys`);
    await interruptAdding(one, two);
    const text = await one.sh(`overlayd host add ${SSH} root@${two.address}`);
    assert.match(text, /copied overlayd_.*\.deb there.*installed overlayd.*joined as b2.*a packet has gone to b2/s);
    // Byte for byte what dpkg knows of it.
    assert.equal(await two.sh('dpkg --verify overlayd'), '');
    assert.equal(await two.sh('systemctl is-enabled overlayd'), 'enabled');
    assert.equal(await two.sh('dpkg-query -s overlayd'), await one.sh('dpkg-query -s overlayd'));
    assert.match(await one.sh(`overlayd host add root@${two.address}`), /it is a member already, as b2/);
    await one.sh('overlayd network create web');
    await attach(one, 'c1', 'api');
    await attach(two, 'c2', 'shop');
    await until('c2 to reach api', () => reaches(two, 'c2', 'api'));
  });

  await step(
    'all lose power at once; one gets its address late, and is never online: it is a member again',
    async () => {
      await Promise.all(hosts.map((host) => host.cutPower()));
      two.put('etc/systemd/system/never.service', NEVER);
      two.put('etc/systemd/system/network-online.target.wants/never.service', { link: '../never.service' });
      // Something that wants it, as most hosts have.
      two.put('etc/systemd/system/multi-user.target.wants/network-online.target', {
        link: '/usr/lib/systemd/system/network-online.target',
      });
      await Promise.all([one.boot(), two.boot({ addressed: false, wholly: false })]);
      await until('the agent to run', async () => (await two.sh('systemctl is-active overlayd || true')) === 'active');
      assert.match(await two.sh('journalctl --no-pager --boot --unit overlayd'), /waiting for this host's addresses/);
      assert.match(await two.sh('systemctl is-active network-online.target || true'), /inactive/);
      await two.sh(`ip addr add ${two.address}/24 dev eth0`);
      for (const host of hosts) await untilReady(host);
      await until('a connection', async () => (await attachIf(one, 'c3', 'late')) === 0);
      await attach(two, 'c4', 'client');
      await until('c4 to reach late', () => reaches(two, 'c4', 'late'));
    },
  );

  await step(
    'a full disk is named; what runs goes on, an agent that starts on it refuses, and room mends it',
    async () => {
      await moveToSmallDisk(two);
      await fullDisk(two);
    },
  );
}

/** Ctrl-C while the package is on its way. */
async function interruptAdding(one: BootedHost, two: BootedHost): Promise<void> {
  const onTheWay = async () => (await two.run(['sh', '-c', 'ls -d /var/tmp/overlayd.*'])).code === 0;
  const tokens = await one.sh('overlayd token ls');
  const words = ['sh', '-c', `echo $$ >/run/adding; exec overlayd host add ${SSH} root@${two.address}`];
  const adding = one.run(words, { timeoutMs: 120_000 });
  await until('the package to be on its way', onTheWay);
  await one.sh('kill -INT "$(cat /run/adding)"');
  const { code, stderr } = await adding;
  assert.notEqual(code, 0);
  assert.match(stderr, /interrupted; typed again, it goes on where it ended/);
  assert.equal(await one.sh('ls -d /tmp/overlayd* 2>/dev/null || true'), '');
  await until('nothing of it to be left there', async () => !(await onTheWay()));
  assert.equal(await one.sh('overlayd token ls'), tokens);
}

/** A data directory that can be filled without filling the machine's disk; etcd takes 130 MB of it. */
async function moveToSmallDisk(host: BootedHost): Promise<void> {
  await host.sh(`systemctl stop overlayd
systemctl stop overlayd-etcd.scope 2>/dev/null || true
cp -a /var/lib/overlayd /var/tmp/data
mount -t tmpfs -o size=400m,mode=700 tmpfs /var/lib/overlayd
cp -a /var/tmp/data/. /var/lib/overlayd
systemctl start overlayd`);
  await untilReady(host);
}

async function fullDisk(two: BootedHost): Promise<void> {
  await until('a connection', async () => (await attachIf(two, 'c5', 'five')) === 0);
  await until('c5 to reach late', () => reaches(two, 'c5', 'late'));
  const pinging = ping(two, 'c5', 'late');
  await two.sh('dd if=/dev/zero of=/var/lib/overlayd/fill bs=64k 2>/dev/null || true');
  await until('the full disk to be named', async () =>
    /disk-full/.test((await two.run(['overlayd', 'doctor'])).stdout),
  );
  assert.equal(await attachIf(two, 'c6', 'six'), 0);
  await until('c6 to reach late', () => reaches(two, 'c6', 'late'));
  await two.sh('systemctl restart overlayd');
  await until('it to be told', async () => /cannot be written/.test(await two.sh('overlayd status || true')));
  assert.notEqual(await attachIf(two, 'c7', 'seven'), 0);
  assert.ok(await reaches(two, 'c6', 'late'));
  await two.sh('rm /var/lib/overlayd/fill');
  await untilReady(two);
  await until('a connection', async () => (await attachIf(two, 'c7', 'seven')) === 0);
  assert.deepEqual(await pinging(), []);
}
