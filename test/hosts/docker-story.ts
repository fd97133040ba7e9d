/** Docker of the release on booted hosts: `docker run` by name across hosts, through an upgrade, a hanging agent, reboots. */
import assert from 'node:assert/strict';
import { until } from '../lab/until.ts';
import type { BootedHost } from './booted-host.ts';
import { ask, type Fleet, hang, step, untilReady } from './fleet.ts';

const IMAGE = 'busybox-local';
/** Since Debian 13 the client is a package of its own. */
export const INSTALL_DOCKER = `apt-get install -y -qq --no-install-recommends docker.io iptables $(apt-cache pkgnames docker-cli | grep -x docker-cli)`;

export async function dockerStory(fleet: Fleet): Promise<void> {
  const { one, two, hosts } = fleet;

  await step('Docker of the release, and overlayd-docker-setup', async () => {
    await fleet.bootAll();
    for (const host of hosts) {
      await host.sh(INSTALL_DOCKER);
      await fleet.install(host);
      await host.sh('overlayd-docker-setup && systemctl restart docker');
      await host.sh(`docker import ${fleet.inside(fleet.made.image)} ${IMAGE}`);
      assert.match(await host.sh('systemctl is-active overlayd.socket docker | sort -u'), /^active$/);
    }
    await fleet.formCluster();
    await one.sh('overlayd network create web');
    for (const host of hosts)
      await until('the network to be offered', async () => /\bweb\b/.test(await host.sh('docker network ls')));
  });

  await step('docker run on both, and names across hosts', async () => {
    await one.sh(`docker run -d --restart always --network web --name api ${IMAGE} sleep 1000000`);
    await two.sh(`docker run -d --restart always --network web --name shop ${IMAGE} sleep 1000000`);
    await until('shop to reach api', () => pings(two, 'shop', 'api'));
    await until('api to reach shop', () => pings(one, 'api', 'shop'));
  });

  await step('an upgrade of both loses no answer to a container, and no container', async () => {
    const started = await two.sh('docker inspect -f "{{.State.StartedAt}}" shop');
    const asking = ask(two, ['docker', 'exec', 'shop', 'nslookup', 'api']);
    for (const host of hosts) {
      await fleet.install(host, 'next');
      await untilReady(host);
    }
    assert.deepEqual(await asking(), []);
    assert.equal(await two.sh('docker inspect -f "{{.State.StartedAt}}" shop'), started);
  });

  await step(
    'an agent that hangs is restarted by the watchdog; Docker’s call waits for it, and names go on',
    async () => {
      const asking = ask(two, ['docker', 'exec', 'shop', 'nslookup', 'api']);
      await hang(two);
      assert.deepEqual(await asking(), []);
      await untilReady(two);
      assert.equal(
        (await two.run(['docker', 'run', '--rm', '--network', 'web', IMAGE, 'ping', '-c', '1', 'api'])).code,
        0,
      );
    },
  );

  await step('a reboot of one in order: its container is back by name', async () => {
    await two.shutDown();
    await two.boot();
    await until('shop to reach api', () => pings(two, 'shop', 'api'));
    await until('api to reach shop', () => pings(one, 'api', 'shop'));
  });

  await step(
    'a power loss of both at once: all containers are back by name, under the addresses that they had',
    async () => {
      const before = await Promise.all([addressOf(one, 'api'), addressOf(two, 'shop')]);
      await Promise.all(hosts.map((host) => host.cutPower()));
      await fleet.bootAll();
      for (const host of hosts) await untilReady(host);
      await until('shop to reach api', () => pings(two, 'shop', 'api'));
      await until('api to reach shop', () => pings(one, 'api', 'shop'));
      assert.deepEqual(await Promise.all([addressOf(one, 'api'), addressOf(two, 'shop')]), before);
    },
  );

  await step('apt remove takes Docker’s side out too', async () => {
    await two.sh('docker rm -f shop');
    await two.must(['apt-get', 'remove', '-y', '-qq', 'overlayd']);
    assert.equal(await two.sh('grep 169.254.53.53 /etc/docker/daemon.json 2>/dev/null || true'), '');
  });
}

function addressOf(host: BootedHost, container: string): Promise<string> {
  return host.sh(`docker inspect -f '{{.NetworkSettings.Networks.web.IPAddress}}' ${container}`);
}

async function pings(host: BootedHost, container: string, name: string): Promise<boolean> {
  return (await host.run(['docker', 'exec', container, 'ping', '-c', '1', '-W', '2', name])).code === 0;
}
